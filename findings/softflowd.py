"""What softflowd exports of the savefile $work/capture.pcap, for programs of `with_softflowd`."""

import socket
import struct
import subprocess
import sys

work, command = sys.argv[1:]
savefile = f"{work}/capture.pcap"


def exported(version):
    """The messages of the savefile, in order: NetFlow version 1, 5 or 9, or IPFIX (10)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{receiver.getsockname()[1]}"
        run = f"{command} -r {savefile} -n {target} -v {version} -c none -p {work}/pid"
        subprocess.run(["bash", "-c", run], capture_output=True, check=True, timeout=30)
        receiver.setblocking(False)  # what was sent over the loopback interface is there by then
        messages = []
        while True:
            try:
                messages.append(receiver.recv(65535))
            except BlockingIOError:
                return messages


def sets(message):
    """Identifier and content of each Set of a message of NetFlow version 9 or IPFIX."""
    at = 20 if message[:2] == b"\x00\x09" else 16
    while at < len(message):
        set_id, length = struct.unpack_from("!HH", message, at)
        yield set_id, message[at + 4:at + length]
        at += length


def templates(content):
    """Identifier and elements of each record of a Template Set: pairs of number and length."""
    while len(content) >= 4:
        template, count = struct.unpack_from("!HH", content)
        numbers = struct.unpack_from("!" + "HH" * count, content, 4)
        yield template, list(zip(numbers[::2], numbers[1::2]))
        content = content[4 + 4 * count:]
