# What there is to do with a checkout. CI runs nothing but these.

.DEFAULT_GOAL := help
.PHONY: help demo test e2e check build images deb manifest docs interop bench scale fuzz deps clean

help: ## Says what there is to do.
	@echo "kipfix: a NetFlow/IPFIX exporter and collector for Kubernetes"
	@echo
	@sed -n 's/^\([a-z0-9]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: ## Shows it at work on this machine: two nodes, pods, traffic, who talked to whom.
	@deploy/demo/demo.sh

test: ## Installs what the tests need and runs all of them.
	@.ci/test.sh

e2e: images ## Installs it by its chart on a real cluster of three nodes, made here, and tries all of it (as root).
	@deploy/deps.sh test
	KIPFIX_BIN=$$(deploy/images/static.sh) cargo test --locked --test e2e

check: ## Formatting, lints and documentation, each as an error.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items

build: ## Builds both daemons into target/release.
	cargo build --release --locked -p kipfix-probe -p kipfix-collector

images: ## Makes the container images as OCI archives, and their SBOMs, in target/images.
	@deploy/deps.sh images
	cargo run --quiet --locked --bin kipfix-images -- "$$(deploy/images/static.sh)" target/images

deb: ## Makes Debian packages of both daemons, in target/debian.
	@deploy/deps.sh images
	deploy/systemd/deb.sh target/debian

manifest: ## Writes deploy/kipfix.yaml anew, the chart as plain manifests.
	deploy/helm/manifest.sh "$$(tests/cluster/build.sh)/helm" >deploy/kipfix.yaml

docs: ## Writes what is generated: references in docs/, dashboards in grafana/.
	KIPFIX_WRITE_DOCS=1 cargo test --locked --test docs --quiet

interop: build ## Runs other people's tools against ours and writes docs/interop.md.
	KIPFIX_WRITE_DOCS=1 cargo test --locked --test interop --quiet -- --test-threads 1

bench: ## Measures the data path.
	cargo bench --workspace --locked

scale: ## Measures a cluster of 100,000 pods on a real API server (some minutes).
	KIPFIX_SCALE=1 cargo test --locked --test scale -- --nocapture

fuzz: ## Fuzzes every decoder, FUZZ_SECONDS (600) each (nightly toolchain).
	@deploy/deps.sh fuzz
	@fuzz/run.sh

deps: ## Installs what building and testing needs (Debian, Ubuntu).
	@deploy/deps.sh test

clean: ## Removes what was built.
	cargo clean
