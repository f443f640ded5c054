#!/usr/bin/env bash
# All tests. The last lines say what ran, what was skipped and why; the exit code is 1 if any failed.
set -uo pipefail
cd "$(dirname "$0")/.."

cat <<'WHAT'
make test does, in this order:
  1. installs the packages that the tests need (deploy/deps.sh test)
  2. check: formatting, lints and documentation without a warning (make check)
  3. images: static binaries, both container images and Debian packages, without a container engine
     (make images deb)
  4. peers: Kubernetes, helm, Prometheus, goflow2 and others from the Go module proxy, kept in
     ~/.cache/kipfix: ten minutes the first time, nothing afterwards
  5. tests: those of every crate, those binaries with real peers (nfdump, softflowd, pmacct, tshark, ...) and a
     real API server, live captures in network namespaces of their own
  6. the cluster: the chart on a real cluster of three nodes made here; beside it what can wait for a
     processor: the demo, captures with known truth, what is exported and relayed, the chart by itself
What this machine cannot do is skipped, and said.
On two cores that takes about 12 minutes, with nothing built before about 35.
WHAT

deploy/deps.sh test || exit 1

# Leaves nothing behind, neither files nor what runs beside; what guards the cluster tidies up by itself.
end() {
    [ ! -e "$beside/pid" ] || kill -- "-$(cat "$beside/pid")" 2>/dev/null
    rm -rf "$log" "$KIPFIX_SKIPPED" "$beside"
}

log=$(mktemp)
# A test that cannot run here passes for cargo and adds `skipped: NAME: reason` to this file.
KIPFIX_SKIPPED=$(mktemp)
export KIPFIX_SKIPPED
beside=$(mktemp -d)
trap end EXIT
passed=0 failed=0 skipped=0
ran=()

# Runs a step whose success is one result.
step() {
    local name=$1
    shift
    echo
    echo "== $name: $*"
    if "$@"; then
        passed=$((passed + 1))
        ran+=("$name: passed")
    else
        failed=$((failed + 1))
        ran+=("$name: FAILED")
    fi
}

# Runs a step of cargo tests and adds up what they report.
tests() {
    local name=$1
    shift
    echo
    echo "== $name: $*"
    "$@" 2>&1 | tee "$log"
    local status=${PIPESTATUS[0]} ok bad ignored
    read -r ok bad ignored < <(
        sed -n 's/.*test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p' "$log" |
            awk '{ ok += $1; bad += $2; ignored += $3 } END { print ok + 0, bad + 0, ignored + 0 }'
    )
    # It did not compile, or ended before it could report.
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + ignored))
    ran+=("$name: $ok passed, $bad failed, $ignored marked as ignored")
}

# Runs a command beside what follows, as a process group of its own, for shown() to show.
begin() {
    set -m
    { "$@"; echo $? >"$beside/status"; } >"$beside/said" 2>&1 </dev/null &
    set +m
    echo $! >"$beside/pid"
}

# Shows what that command said and says until its end, and passes its status on.
shown() {
    tail -n +1 --follow --pid="$(cat "$beside/pid")" "$beside/said"
    rm "$beside/pid"
    return "$(cat "$beside/status")"
}

# `--test NAME` for each name that is given.
files() {
    printf -- '--test\n%s\n' "$@"
}

step "formatting" cargo fmt --all --check
step "lints" cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
step "documentation" env RUSTDOCFLAGS="-D warnings" \
    cargo doc --workspace --no-deps --locked --document-private-items --quiet
step "images" make --no-print-directory images
step "Debian packages" make --no-print-directory deb
# What is tested is what is shipped.
KIPFIX_BIN=$(deploy/images/static.sh)
export KIPFIX_BIN
# Where Go is not, the tests that need these say so.
if command -v go >/dev/null; then
    step "peers" tests/cluster/build.sh
    step "goflow2" tests/go_program.sh goflow2
    step "Prometheus" tests/go_program.sh prometheus
    step "Grafana's schema" tests/go_program.sh schema
fi

# Test files that take their time and do not judge how fast something happens. All others have the machine to
# themselves.
patient=(chart dashboards export readme relay restarts transport truth)
mapfile -t others < <(
    cargo metadata --locked --no-deps --format-version 1 |
        jq -r '.packages[].targets[] | select(.kind == ["test"]).name' | sort -u |
        grep -vxFf <(printf '%s\n' e2e "${patient[@]}")
)
run=(cargo test --workspace --locked --no-fail-fast)
step "test programs" "${run[@]}" --no-run --quiet
# shellcheck disable=SC2046 # words are wanted
tests "tests" "${run[@]}" --lib --bins $(files "${others[@]}")
tests "examples in the documentation" "${run[@]}" --doc
begin "${run[@]}" --test e2e
tests "patient tests" "${run[@]}" $(files "${patient[@]}")
tests "the cluster's tests" shown

echo
echo "== what ran"
printf '%s\n' "${ran[@]}"
unable=$(cut -d: -f2 "$KIPFIX_SKIPPED" | sort -u | wc -l)
if [ "$unable" -gt 0 ]; then
    echo "== what passed without doing anything, and why"
    sort -u "$KIPFIX_SKIPPED"
fi
echo "$((passed - unable)) passed, $failed failed, $((skipped + unable)) skipped"
[ "$failed" -eq 0 ]
