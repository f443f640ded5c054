#!/usr/bin/env bash
# Checks the dependencies: licences, bans, sources and advisories (cargo-deny, deny.toml), and unused
# ones (cargo-machete). Installs both tools into a cache outside the checkout the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/cargo

# install NAME VERSION
install() {
    if [ ! -e "$cache/$1-$2" ]; then
        echo "installing $1 $2 into $cache (a few minutes, once)"
        cargo install --quiet --locked --force --root "$cache" "$1@$2"
        touch "$cache/$1-$2"
    fi
}

install cargo-deny 0.20.2
install cargo-machete 0.9.2

deny=("$cache/bin/cargo-deny" --locked)
# The advisory database is a git repository, the other checks need no network.
checks=(bans licenses sources)
if "${deny[@]}" fetch db >/dev/null 2>&1; then
    checks+=(advisories)
else
    echo "warning: ADVISORIES ARE NOT CHECKED: the advisory database cannot be fetched" >&2
fi
"${deny[@]}" check --hide-inclusion-graph "${checks[@]}"
"$cache/bin/cargo-machete"
