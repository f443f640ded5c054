"""Octets for the scripts of this folder: IPFIX and NetFlow messages, frames and savefiles.

Every value is in network byte order. Elements are (identifier, length) or
(identifier, length, enterprise number); a length of 65535 means variable length (RFC 7011, 7).
"""

import ipaddress
import socket
import struct

VARIABLE = 65535
NTP_EPOCH = 2208988800  # seconds from 1900-01-01 to 1970-01-01 (RFC 7011, 6.1.9)


# --- IPFIX (RFC 7011) and NetFlow version 9 (RFC 3954) ---

def element_specifiers(elements):
    out = b""
    for identifier, length, *enterprise in elements:
        if enterprise:
            out += struct.pack("!HHI", identifier | 0x8000, length, enterprise[0])
        else:
            out += struct.pack("!HH", identifier, length)
    return out


def set_of(set_id, body):
    return struct.pack("!HH", set_id, 4 + len(body)) + body


def template_set(template_id, elements, set_id=2):
    """A Template Set with one Template Record; NetFlow version 9 uses set_id=0."""
    header = struct.pack("!HH", template_id, len(elements))
    return set_of(set_id, header + element_specifiers(elements))


def options_template_set(template_id, scope, elements):
    """An IPFIX Options Template Set with one Options Template Record."""
    header = struct.pack("!HHH", template_id, len(scope) + len(elements), len(scope))
    return set_of(3, header + element_specifiers(scope + elements))


def variable(octets):
    """A value of variable length with its length in front (RFC 7011, 7)."""
    if len(octets) < 255:
        return bytes([len(octets)]) + octets
    return b"\xff" + struct.pack("!H", len(octets)) + octets


def ipfix(*sets, export_time=1_780_000_000, sequence=0, domain=1):
    body = b"".join(sets)
    return struct.pack("!HHIII", 10, 16 + len(body), export_time, sequence, domain) + body


def netflow9(count, *sets, uptime=3_600_000, export_time=1_780_000_000, sequence=0, source=1):
    return struct.pack("!HHIIII", 9, count, uptime, export_time, sequence, source) + b"".join(sets)


def ntp(seconds, fraction=0):
    """A dateTimeMicroseconds or dateTimeNanoseconds value of a Unix time."""
    return struct.pack("!II", seconds + NTP_EPOCH, fraction)


# --- Ethernet, IPv4, IPv6, UDP ---

def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, payload, identification=1, fragment=0):
    """fragment: the 16 bits of flags and fragment offset."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), identification, fragment,
                         64, protocol, 0, socket.inet_aton(source), socket.inet_aton(destination))
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ipv6(source, destination, next_header, payload):
    return (struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64)
            + ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(destination).packed
            + payload)


def udp(source_port, destination_port, payload=b""):
    """A UDP datagram without a checksum (0, RFC 768)."""
    return struct.pack("!HHHH", source_port, destination_port, 8 + len(payload), 0) + payload


def ethernet(ethertype, payload, tags=()):
    """tags: (TPID, VLAN identifier) from the outermost to the innermost."""
    frame = bytes.fromhex("020000000002020000000001")
    for tpid, vlan in tags:
        frame += struct.pack("!HH", tpid, vlan)
    return frame + struct.pack("!H", ethertype) + payload


# --- savefiles ---

def pcap(path, frames, linktype=1, start=1_780_000_000.0, interval=0.01, snaplen=262144):
    """A pcap savefile, one frame every `interval` seconds, cut to snaplen octets."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snaplen, linktype))
        for number, frame in enumerate(frames):
            seconds, micros = divmod(round((start + number * interval) * 1_000_000), 1_000_000)
            kept = frame[:snaplen]
            file.write(struct.pack("<IIII", seconds, micros, len(kept), len(frame)) + kept)


def pcapng(path, interfaces, packets):
    """A pcapng savefile of Ethernet interfaces and Enhanced Packet Blocks.

    interfaces: the options of each, as (code, value); packets: (interface, timestamp, frame).
    """
    def padded(octets):
        return octets + bytes(-len(octets) % 4)

    def block(block_type, body):
        length = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", block_type) + length + body + length

    with open(path, "wb") as file:
        file.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        for options in interfaces:
            body = struct.pack("<HHI", 1, 0, 262144)
            for code, value in options:
                body += struct.pack("<HH", code, len(value)) + padded(value)
            file.write(block(1, body + (bytes(4) if options else b"")))
        for interface, timestamp, frame in packets:
            body = struct.pack("<IIIII", interface, timestamp >> 32, timestamp & 0xFFFFFFFF,
                               len(frame), len(frame))
            file.write(block(6, body + padded(frame)))


# --- sending ---

def send(port, *messages, host="127.0.0.1"):
    """Sends each message as a datagram from one socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in messages:
            sender.sendto(message, (host, port))
