#!/usr/bin/env bash
# Unpacks releases of the peers from Debian unstable, apart from the system, into a cache folder, and
# prints that folder. apt checks the signatures. Nothing is installed on the system, and nothing
# happens if they are there already.
#   bench/peers.sh [FOLDER]
# FOLDER/bin has a program each, started with the libraries of its own release; FOLDER/versions has
# their versions. They are pinned. Debian unstable has only its newest ones: if a pinned version is
# gone, PEERS_VERSIONS=newest takes what there is. The mirror is that of the system's apt sources, or
# DEBIAN_MIRROR.
set -euo pipefail
packages=(nfdump=1.7.10-1 ipfixprobe=5.8.0-1 ipfixcol2=2.9.0-1 softflowd=1.1.1-1 pmacct=1.7.8-4)
[ "${PEERS_VERSIONS:-pinned}" != newest ] || packages=("${packages[@]%%=*}")
out=${1:-${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/peers}
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
recipe=$(sha256sum <"$0" | cut -c 1-16)
if [ -e "$out/versions" ] && [ "$(cat "$out/.recipe" 2>/dev/null)" = "$recipe" ]; then
    echo "$out"
    exit 0
fi
echo "unpacking ${packages[*]} from Debian unstable in $out, once" >&2
work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' | grep -m 1 '/debian/*$' || true)}
if [ -z "$mirror" ]; then
    echo "no Debian mirror in the system's apt sources: set DEBIAN_MIRROR" >&2
    exit 1
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
source="deb [signed-by=$keyring] $mirror sid main"
echo "$source" >"$work/sources.list"
mkdir -p "$work"/{parts,lists/partial,cache/archives/partial}
# What the system has installed does not count. A file of its own, not /dev/null: apt makes its lock
# files next to it.
touch "$work/status"
apt() {
    apt-get --quiet --quiet -o "Dir::Etc::SourceList=$work/sources.list" \
        -o "Dir::Etc::SourceParts=$work/parts" -o "Dir::State=$work" \
        -o "Dir::State::Lists=$work/lists" -o "Dir::State::status=$work/status" \
        -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root "$@" >&2
}
apt update
if ! apt install --yes --download-only --no-install-recommends "${packages[@]}"; then
    echo "Debian unstable does not have ${packages[*]}" >&2
    exit 1
fi

rm -rf "$out/root" "$out/bin" "$out/versions"
mkdir -p "$out"/{bin,root/usr/{bin,sbin,lib,lib64}}
for folder in bin sbin lib lib64; do
    ln -s "usr/$folder" "$out/root/$folder"
done
for archive in "$work"/cache/archives/*.deb; do
    dpkg-deb --extract "$archive" "$out/root"
done
libraries=$(echo "$out"/root/usr/lib/*-linux-gnu)
# The name under which ipfixprobe's plugins look for it.
if [ -e "$libraries/libtelemetry.so.1" ]; then
    ln -sf libtelemetry.so.1 "$libraries/libtelemetry.so"
fi
loader=$(find "$out"/root/usr/lib* -name 'ld-linux-*.so.*' | head -n 1)
for package in "${packages[@]%%=*}"; do
    archive=$(echo "$work/cache/archives/${package}"_*.deb)
    dpkg-deb --contents "$archive" | awk '$1 ~ /^-..x/ && $6 ~ "/s?bin/" { print $6 }' |
        while read -r program; do
            printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' \
                "$loader" "$libraries" "$out/root/${program#./}" >"$out/bin/${program##*/}"
            chmod +x "$out/bin/${program##*/}"
        done
    dpkg-deb --show "$archive" >>"$work/versions"
done
echo "$recipe" >"$out/.recipe"
mv "$work/versions" "$out/versions"
echo "$out"
