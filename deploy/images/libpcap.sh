#!/usr/bin/env bash
# Builds a static libpcap for musl from the source package of the distribution, with its security fixes and
# only for packet sockets of Linux. Prints the folder. Does nothing if it exists.
#   deploy/images/libpcap.sh FOLDER
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
recipe=$(sha256sum <"$0" | cut -c1-16)
if [ "$(cat "$out/.recipe" 2>/dev/null)" = "$recipe" ]; then
    echo "$out"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"

# A separate list of package sources: that of the machine usually has no source packages.
mkdir -p parts lists/partial
for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"parts/${file##*/}"
done
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >"parts/${file##*/}" && mv "parts/${file##*/}" "parts/${file##*/}.list"
done
touch none.list
sources() {
    apt-get --quiet=2 -o Dir::Etc::SourceList="$work/none.list" -o Dir::Etc::SourceParts="$work/parts" \
        -o Dir::State::Lists="$work/lists" -o APT::Sandbox::User="$(id -un)" "$@"
}
# Third-party archives may have no source packages: only libpcap is required.
sources update >update.log 2>&1 || true
if ! sources source libpcap >source.log 2>&1; then
    cat update.log source.log >&2
    echo "apt-get cannot get the source of libpcap" >&2
    exit 1
fi

cd libpcap-*/
# musl-gcc does not search the kernel headers.
kernel="-idirafter /usr/include -idirafter /usr/include/$(gcc -print-multiarch)"
if ! {
    CC="musl-gcc" CPPFLAGS=$kernel CFLAGS="-O2 -fPIC $kernel" ./configure --quiet --disable-shared \
        --without-libnl --disable-dbus --disable-rdma --disable-bluetooth --disable-usb \
        --disable-netmap --without-dpdk --without-dag --without-snf --disable-remote
    make --silent libpcap.a
} >../build.log 2>&1; then
    tail -n 20 ../build.log >&2
    exit 1
fi
cp libpcap.a VERSION LICENSE "$out"
echo "$recipe" >"$out/.recipe"
echo "$out"
