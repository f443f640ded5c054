// Reads a capture of NetFlow with node-netflowv9, for tests: NODE_PATH=MODULES library_reader.js CAPTURE
//
// Prints a flow record a line, as JSON with the names of IANA, and then the sequence numbers of the
// messages.
const Collector = require("node-netflowv9");

// Octets of the Ethernet, IPv4 and UDP headers of the capture's frames.
const HEADERS = 14 + 20 + 8;
const collector = new Collector({ cb: () => {} });
const sender = { address: "192.0.2.10", port: 50000 };
const capture = require("fs").readFileSync(process.argv[2]);
// It gives IPv6 addresses as 32 hexadecimal digits.
const ipv6 = (digits) => digits?.match(/.{4}/g).join(":");
const sequenceNumbers = [];
const lines = [];
for (let at = 24; at < capture.length; ) {
  const end = at + 16 + capture.readUInt32LE(at + 8);
  const message = collector.nfPktDecode(capture.subarray(at + 16 + HEADERS, end), sender);
  at = end;
  sequenceNumbers.push(message.header.sequence);
  for (const flow of message.flows) {
    // Options data has no octets.
    if (flow.in_bytes === undefined) continue;
    const record = {
      sourceIPv4Address: flow.ipv4_src_addr,
      sourceIPv6Address: ipv6(flow.ipv6_src_addr),
      destinationIPv4Address: flow.ipv4_dst_addr,
      destinationIPv6Address: ipv6(flow.ipv6_dst_addr),
      sourceTransportPort: flow.l4_src_port ?? flow.ipv4_src_port,
      destinationTransportPort: flow.l4_dst_port ?? flow.ipv4_dst_port,
      protocolIdentifier: flow.protocol,
      octetDeltaCount: flow.in_bytes,
      packetDeltaCount: flow.in_pkts,
    };
    lines.push(JSON.stringify(record));
  }
}
lines.push(JSON.stringify({ sequenceNumbers }));
// The collector has an open socket, so the process does not end by itself.
process.stdout.write(lines.join("\n") + "\n", () => process.exit(0));
