# Tasks of a checkout. CI runs these targets only.

.DEFAULT_GOAL := help
.PHONY: help demo test e2e check judge build images deb manifest docs interop
.PHONY: bench bench-scrape bench-history bench-forward bench-stages soak scale fuzz deps clean

# Duration of the steady part of `make soak`, in seconds.
SECONDS ?= 1800
# Records of `make bench-history`.
RECORDS ?= 10000000

help: ## Lists the targets.
	@echo "kipfix: a NetFlow/IPFIX exporter and collector for Kubernetes"
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' Makefile | expand -t 21

demo: ## Runs a demo on this machine: two nodes, pods, traffic, metrics.
	@deploy/demo/demo.sh

test: ## Installs the packages that the tests need and runs all tests.
	@.ci/test.sh

e2e: images ## Tests the chart on a cluster of three nodes in network namespaces (as root).
	@deploy/deps.sh test
	KIPFIX_BIN=$$(deploy/images/static.sh) cargo test --locked --test e2e

check: ## Runs the static checks: format, lints, documentation, layering, words, dependencies.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
	cargo test --package kipfix-style --locked --quiet
	@.ci/dependencies.sh

JUDGE = --locked --manifest-path flowproto/judge/Cargo.toml --target-dir target/judge

judge: ## Compares flowproto with netgauze-flow-pkt in property tests (compiles it, one or two minutes).
	cargo fmt --manifest-path flowproto/judge/Cargo.toml --check
	cargo clippy $(JUDGE) --all-targets -- -D warnings
	cargo test $(JUDGE)

build: ## Builds both daemons into target/release.
	cargo build --release --locked -p kipfix-probe -p kipfix-collector

images: ## Builds the container images as OCI archives, with SBOMs, into target/images.
	@deploy/deps.sh images
	cargo run --quiet --locked --bin kipfix-images -- "$$(deploy/images/static.sh)" target/images

deb: ## Builds Debian packages of both daemons into target/debian.
	@deploy/deps.sh images
	deploy/systemd/deb.sh target/debian

manifest: ## Regenerates deploy/kipfix.yaml, the chart as plain manifests.
	deploy/helm/manifest.sh "$$(tests/cluster/build.sh)/helm" >deploy/kipfix.yaml

docs: ## Regenerates the references in docs/ and the dashboards in grafana/.
	KIPFIX_WRITE_DOCS=1 cargo test --locked --test docs --quiet

interop: build ## Runs third-party tools against kipfix and regenerates docs/interop.md.
	KIPFIX_WRITE_DOCS=1 cargo test --locked --test interop --quiet -- --test-threads 1

bench: build ## Compares both daemons with other programs and writes docs/performance.md (as root).
	@deploy/deps.sh test
	@bench/peers.sh >/dev/null
	cargo build --release --locked -p kipfix-bench
	bench/run $(BENCH)
	cp target/bench/performance.md docs/performance.md

bench-scrape: build ## Compares a scrape of a million series with metric libraries.
	cargo build --release --locked -p kipfix-bench
	bench/run scrape $(BENCH)

bench-history: ## Measures the ClickHouse tables and questions with RECORDS (10000000), and writes docs/history.md.
	PYTHONPATH=$$(tests/clickhouse_engine.sh) bench/history --records $(RECORDS) --docs docs/history.md

bench-forward: build ## Measures a collector that forwards to a Kafka broker, relative to counting alone.
	cargo build --release --locked -p kipfix-bench
	bench/forward

bench-stages: ## Runs the benchmarks of each stage of the data path, next to other libraries.
	cargo bench --workspace --locked
	cargo bench $(JUDGE)

soak: build ## Runs both daemons under load for SECONDS (1800), then under faults (as root).
	@deploy/deps.sh test
	cargo build --release --locked -p kipfix-bench
	bench/soak --seconds $(SECONDS) $(SOAK)

scale: ## Measures a cluster of 100,000 pods on a real API server (some minutes).
	KIPFIX_SCALE=1 cargo test --locked --test scale -- --nocapture

fuzz: ## Fuzzes every decoder for FUZZ_SECONDS (600) each (nightly toolchain).
	@deploy/deps.sh fuzz
	@fuzz/run.sh

deps: ## Installs the packages that building and testing need (Debian, Ubuntu).
	@deploy/deps.sh test

clean: ## Removes the build output.
	cargo clean
