#!/usr/bin/env bash
# All tests. The last lines list the results. The exit code is 1 if a test fails twice, or, in CI, if a test is
# skipped that .ci/skips.txt does not list.
set -uo pipefail
cd "$(dirname "$0")/.."

cat <<'WHAT'
make test:
  1. installs the packages that the tests need (deploy/deps.sh test)
  2. checks: format, lints, documentation, layering, words, dependencies (make check), and flowproto
     compared with a foreign decoder (make judge)
  3. images: static binaries, container images and Debian packages (make images deb)
  4. page: dist/ is what its source builds, unit tests, the page in Chromium (npm registry)
  5. peers: Kubernetes, helm, Prometheus, goflow2 and others from the Go module proxy, cached in
     ~/.cache/kipfix (ten minutes the first time)
  6. benchmarks: they run, with tiny sizes, and the totals are exact; no time is judged
  7. tests: all crates, the binaries with real peers (nfdump, softflowd, pmacct, tshark, ...) and a real
     API server, live captures in network namespaces. Kafka from Maven Central, ClickHouse's engine from
     PyPI, programs of Debian unstable (unpacked apart from the system) and decoding libraries from PyPI
     and npm are downloaded when a test needs them, and cached in ~/.cache/kipfix
  8. cluster: the chart on a real cluster of three nodes. In parallel: tests that do not measure time
Tests that cannot run on this machine are skipped and listed. If at most three tests of a step fail, they
run once more; those that pass then are listed as unreliable.
On two cores it takes about 12 minutes, and about 40 minutes the first time.
WHAT

deploy/deps.sh test || exit 1

# Removes files and the background process. A guard process removes the cluster.
end() {
    [ ! -e "$background/pid" ] || kill -- "-$(cat "$background/pid")" 2>/dev/null
    rm -rf "$log" "$KIPFIX_SKIPPED" "$background"
}

log=$(mktemp)
# A test that cannot run on this machine passes and adds `skipped: NAME: REASON` to this file.
KIPFIX_SKIPPED=$(mktemp)
export KIPFIX_SKIPPED
background=$(mktemp -d)
trap end EXIT
passed=0 failed=0 skipped=0
ran=() unreliable=()

# Runs a step that counts as one test.
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

# Runs the N failed tests of a log once more, one after the other. Successful if all of them pass now.
again() {
    local target name names targets passing=0
    mapfile -t targets < <(sed -n 's/^    `\(-.*\)`$/\1/p' "$1")
    mapfile -t names < <(sed -n '/^failures:$/,/^test result:/s/^    \([A-Za-z0-9_:]*\)$/\1/p' "$1" | sort -u)
    for target in "${targets[@]}"; do
        for name in "${names[@]}"; do
            echo "== again: $target $name"
            # shellcheck disable=SC2086 # words are wanted
            if cargo test --locked $target -- --exact "$name" 2>&1 | tee "$1" &&
                grep -q 'test result: ok. 1 passed' "$1"; then
                passing=$((passing + 1))
                unreliable+=("$name")
            fi
        done
    done
    [ "$passing" -eq "$2" ]
}

# Runs cargo tests and adds up their results.
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
    # It did not compile, or ended before its report.
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    elif [ "$bad" -gt 0 ] && [ "$bad" -le 3 ] && again "$log" "$bad"; then
        ok=$((ok + bad)) bad=0
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + ignored))
    ran+=("$name: $ok passed, $bad failed, $ignored marked as ignored")
}

# Runs a command in the background, as a process group, for finish().
begin() {
    set -m
    { "$@"; echo $? >"$background/status"; } >"$background/output" 2>&1 </dev/null &
    set +m
    echo $! >"$background/pid"
}

# Shows the output of that command until its end, and returns its status.
finish() {
    tail -n +1 --follow --pid="$(cat "$background/pid")" "$background/output"
    rm "$background/pid"
    return "$(cat "$background/status")"
}

# Prints `--test NAME` for each name.
files() {
    printf -- '--test\n%s\n' "$@"
}

step "checks" make --no-print-directory check
step "foreign decoder" make --no-print-directory judge
step "images" make --no-print-directory images
step "Debian packages" make --no-print-directory deb
# The tests use the binaries of the images.
KIPFIX_BIN=$(deploy/images/static.sh)
export KIPFIX_BIN
# Without Node.js, the page and its test with a running collector are skipped.
if command -v npm >/dev/null; then
    step "page" web/test.sh
fi
# Without Go, the tests that need these programs are skipped.
if command -v go >/dev/null; then
    step "peers" tests/cluster/build.sh
    step "goflow2" tests/go_program.sh goflow2
    step "Prometheus" tests/go_program.sh prometheus
    step "Grafana's schema" tests/go_program.sh schema
fi

# Test files that do not measure time. They run in parallel with the cluster tests.
patient=(chart chart_objects dashboards export page readme relay restarts transport truth)
mapfile -t others < <(
    cargo metadata --locked --no-deps --format-version 1 |
        jq -r '.packages[].targets[] | select(.kind == ["test"]).name' | sort -u |
        grep -vxFf <(printf '%s\n' e2e "${patient[@]}")
)
run=(cargo test --workspace --locked --no-fail-fast)
step "test programs" "${run[@]}" --no-run --quiet
step "benchmark programs" "${run[@]}" --bench '*'
step "benchmark with tiny sizes" bench/smoke
# shellcheck disable=SC2046 # words are wanted
tests "tests" "${run[@]}" --lib --bins $(files "${others[@]}")
tests "examples in the documentation" "${run[@]}" --doc
begin "${run[@]}" --test e2e
tests "patient tests" "${run[@]}" $(files "${patient[@]}")
tests "cluster tests" finish

echo
echo "== results"
printf '%s\n' "${ran[@]}"
if [ "${#unreliable[@]}" -gt 0 ]; then
    echo "== failed, and passed when run again"
    printf '%s\n' "${unreliable[@]}"
fi
unable=$(cut -d: -f2 "$KIPFIX_SKIPPED" | sort -u | wc -l)
if [ "$unable" -gt 0 ]; then
    echo "== skipped"
    sort -u "$KIPFIX_SKIPPED"
fi
# Whole lines `NAME: REASON` that match no pattern of the list.
unexpected=$(sed 's/^skipped: //' "$KIPFIX_SKIPPED" | sort -u | grep -vxEf <(grep -v '^#' .ci/skips.txt))
if [ -n "$unexpected" ]; then
    echo "== skipped, but not listed in .ci/skips.txt"
    echo "$unexpected"
    # On a developer's machine, a missing program or missing root is not a failure.
    if [ -n "${CI:-}" ]; then
        failed=$((failed + $(echo "$unexpected" | wc -l)))
    fi
fi
echo "$((passed - unable)) passed, $failed failed, $((skipped + unable)) skipped"
[ "$failed" -eq 0 ]
