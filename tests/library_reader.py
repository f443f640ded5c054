"""Reads a capture of NetFlow or IPFIX with a library of PyPI, for tests.

    PYTHONPATH=MODULES library_reader.py netflow|netflume|ipfix CAPTURE

Prints a flow record a line, as JSON with the names of IANA, and then the sequence numbers of the
messages, or the number of records that the library reports as missing. Standard error has what the
library refuses.
"""

import io
import ipaddress
import json
import struct
import sys

# Octets of the Ethernet, IPv4 and UDP headers of the capture's frames.
HEADERS = 14 + 20 + 8
EXPORTER = "192.0.2.10"

# What a library calls the elements of a flow record.
NAMES = {
    "source": ("sourceIPv4Address", "sourceIPv6Address", "IPV4_SRC_ADDR", "IPV6_SRC_ADDR", "src_addr"),
    "destination": (
        "destinationIPv4Address",
        "destinationIPv6Address",
        "IPV4_DST_ADDR",
        "IPV6_DST_ADDR",
        "dst_addr",
    ),
    "sourceTransportPort": ("sourceTransportPort", "L4_SRC_PORT", "SRC_PORT", "src_port"),
    "destinationTransportPort": ("destinationTransportPort", "L4_DST_PORT", "DST_PORT", "dst_port"),
    "protocolIdentifier": ("protocolIdentifier", "PROTOCOL", "PROTO", "proto"),
    "octetDeltaCount": ("octetDeltaCount", "IN_BYTES", "IN_OCTETS", "octets"),
    "packetDeltaCount": ("packetDeltaCount", "IN_PKTS", "IN_PACKETS", "packets"),
}


def payloads(path):
    with open(path, "rb") as file:
        file.read(24)
        while header := file.read(16):
            yield file.read(struct.unpack("<IIII", header)[2])[HEADERS:]


def show(record):
    """Prints a flow record; options data has no octets."""
    value = {}
    for name, own in NAMES.items():
        found = [record[key] for key in own if key in record]
        if found:
            value[name] = found[0]
    if "octetDeltaCount" not in value:
        return
    for end in ("source", "destination"):
        address = ipaddress.ip_address(value.pop(end))
        value[f"{end}IPv{address.version}Address"] = str(address)
    print(json.dumps(value))


def read_netflow(capture):
    import netflow

    numbers, templates, refused = [], {"netflow": {}, "ipfix": {}}, set()
    for payload in payloads(capture):
        try:
            message = netflow.parse_packet(payload, templates)
        except Exception as error:
            refused.add(f"{type(error).__name__}: {error}")
            continue
        header = message.header
        numbers.append(header.sequence_number if header.version == 10 else header.sequence)
        for flow in message.flows:
            show(flow.data)
    print(json.dumps({"sequenceNumbers": numbers}))
    print(*sorted(refused), sep="\n", file=sys.stderr)


def read_netflume(capture):
    import netflume

    decoder = netflume.Decoder()
    for payload in payloads(capture):
        for flow in decoder.decode(payload, EXPORTER).flows:
            show(flow)
    print(json.dumps({"sequenceFailures": decoder.stats["missed_exports"]}))


def read_ipfix(capture):
    import ipfix.ie
    import ipfix.message

    ipfix.ie.use_iana_default()
    numbers, buffer = [], ipfix.message.MessageBuffer()
    for payload in payloads(capture):
        buffer.read_message(io.BytesIO(payload))
        numbers.append(buffer.sequence)
        for record in buffer.namedict_iterator():
            show(record)
    print(json.dumps({"sequenceNumbers": numbers}))


library, capture = sys.argv[1:]
{"netflow": read_netflow, "netflume": read_netflume, "ipfix": read_ipfix}[library](capture)
