#!/usr/bin/env bash
# Fuzzes all targets, or the named ones, two at a time on two cores. FUZZ_SECONDS: duration of each. Fails if a
# target fails, and prints the path of the input.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-600}
at_once=$(($(nproc) < 2 ? 1 : 2))

# The code is safe, so there is no sanitizer: it would only be slower. Debug assertions and overflow checks are on.
options=(--features libfuzzer --sanitizer none --target-dir target/fuzz)
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
logs=target/fuzz/logs
mkdir -p "$logs"

names=$(cargo run --quiet --locked -p kipfix-fuzz --example seeds)
if [ $# -gt 0 ]; then
    targets=("$@")
else
    mapfile -t targets <<<"$names"
fi
cargo +nightly fuzz build "${options[@]}"
# Not `cargo fuzz run`, which builds again if a file was changed in the meantime.
programs=target/fuzz/$(rustc +nightly -vV | sed -n 's/^host: //p')/release

fuzz() {
    local target=$1
    mkdir -p fuzz/{corpus,kept,artifacts}/"$target"
    if KIPFIX_FUZZ_TARGET=$target "$programs/target" "fuzz/corpus/$target" "fuzz/kept/$target" -artifact_prefix="fuzz/artifacts/$target/" \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 >"$logs/$target" 2>&1; then
        echo "$target: $(grep -E '^#[0-9]+.*(DONE|REDUCE|NEW|pulse)' "$logs/$target" | tail -n 1)"
    else
        echo "$target: FAILED, see $logs/$target"
        grep -E 'panicked at|ERROR: libFuzzer|fuzz/artifacts/' -A 1 "$logs/$target" | head -n 20
        return 1
    fi
}

failed=()
running=()
# Waits for the oldest of those that run.
await() {
    local target=${running[0]%:*} pid=${running[0]#*:}
    running=("${running[@]:1}")
    wait "$pid" || failed+=("$target")
}
for target in "${targets[@]}"; do
    if [ ${#running[@]} -ge "$at_once" ]; then
        await
    fi
    fuzz "$target" &
    running+=("$target:$!")
done
while [ ${#running[@]} -gt 0 ]; do
    await
done

if [ ${#failed[@]} -gt 0 ]; then
    cat <<WHAT
Failed: ${failed[*]}. For each:
  KIPFIX_FUZZ_TARGET=TARGET cargo +nightly fuzz tmin ${options[*]} target fuzz/artifacts/TARGET/INPUT   # makes it small
  cp INPUT fuzz/kept/TARGET/WHAT-IT-SHOWS                                       # keeps it: cargo test runs it from then on
WHAT
    exit 1
fi
