#!/usr/bin/env bash
# softflowd 1.1.0 (Debian 1.1.0-1+b1) counts the records of an IPFIX Message into that Message's
# own sequence number, and does not count options data records.
#
# Standard: RFC 7011, section 3.1: the sequence number counts all Data Records sent; it lets the
#   Collecting Process see missing Data Records. So it grows from one Message to the next by the
#   number of Data Records in the first of the two, as nfcapd and others check it.
# Input: a capture of 100 flows, exported by softflowd as IPFIX over UDP.
# Expected: sequence numbers that start with 0 and grow by the records of the Message before.
# Seen: the first Message, which has 24 flow records and an options data record, has number 24; each
#   number is the one before plus the flow records of its own Message. 1.1.1-1 does the same.
# Why care: a collector that checks the standard way reports lost records for every Message whose
#   number of records differs from the one before.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages softflowd=1.1.0-1+b1

seen=$(with_softflowd <<'PYTHON'
import struct
from softflowd import exported, savefile, sets, templates
from wire import ethernet, ipv4, pcap, udp

packets = [ipv4("10.0.0.1", "10.0.0.2", 17, udp(1000 + n, 5000, b"x" * 100)) for n in range(100)]
pcap(savefile, [ethernet(0x0800, packet) for packet in packets])

lengths = {}  # Template ID: octets of a record (softflowd has no field of variable length)
previous, first = 0, ""
rule = True
for message in exported(10):
    sequence = int.from_bytes(message[8:12], "big")
    flows = options = 0
    for set_id, content in sets(message):
        if set_id == 2:
            for template, elements in templates(content):
                lengths[template] = sum(length for _, length in elements)
        elif set_id == 3:
            options_template, count, _scopes = struct.unpack_from("!HHH", content)
            fields = struct.unpack_from("!" + "HH" * count, content, 6)
            lengths[options_template] = sum(fields[1::2])
        elif set_id == options_template:
            options += len(content) // lengths[set_id]
        else:
            flows += len(content) // lengths[set_id]
    if not first:
        first = f"the first Message has {flows} flow records, {options} other, and number "
        first += str(sequence)
    elif sequence != previous + flows:
        rule = False
    previous = sequence
print(first + (", the others grow by their own records" if rule else ", the others differ"))
PYTHON
)
verdict "the first Message has number 0, the others grow by the records of the one before" \
    "the first Message has 24 flow records, 1 other, and number 24, the others grow by their own \
records" "$seen"
