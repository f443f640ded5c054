#!/usr/bin/env bash
# Unpacks the newest releases of the peers from Debian unstable, apart from the system, into a cache
# folder, and prints that folder. apt checks the signatures. Nothing is installed on the system, and
# nothing happens if they are there already.
#   bench/peers.sh [FOLDER]
# FOLDER/bin has a program each, started with the libraries of its own release; FOLDER/versions has
# their versions. The mirror is that of the system's apt sources, or DEBIAN_MIRROR. Remove the folder to get newer releases.
set -euo pipefail
packages=(nfdump ipfixprobe ipfixcol2 softflowd pmacct)
out=${1:-${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/peers}
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ -e "$out/versions" ]; then
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
mkdir -p "$work"/{lists,cache/archives}/partial
# An empty status file: what the system has installed does not count.
apt() {
    apt-get --quiet --quiet -o "Dir::Etc::SourceList=$work/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/lists" \
        -o "Dir::Cache=$work/cache" -o Dir::State::status=/dev/null \
        -o APT::Sandbox::User=root "$@" >&2
}
apt update
apt install --yes --download-only --no-install-recommends "${packages[@]}"

rm -rf "$out/root" "$out/bin"
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
for package in "${packages[@]}"; do
    archive=$(echo "$work/cache/archives/${package}"_*.deb)
    dpkg-deb --contents "$archive" | awk '$1 ~ /^-..x/ && $6 ~ "/s?bin/" { print $6 }' |
        while read -r program; do
            printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' \
                "$loader" "$libraries" "$out/root/${program#./}" >"$out/bin/${program##*/}"
            chmod +x "$out/bin/${program##*/}"
        done
    dpkg-deb --show "$archive" >>"$work/versions"
done
mv "$work/versions" "$out/versions"
echo "$out"
