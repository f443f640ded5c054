#!/usr/bin/env bash
# npm node-netflowv9 0.2.16 reads records with the template of another Source ID.
#
# Standard: RFC 3954, section 5.1: collectors separate the export streams of an exporter by its
#   address and the Source ID; section 5.2: a Template ID is unique in one Observation Domain.
# Input: Source IDs 1 and 2 of one exporter both use Template ID 256, with the same fields in
#   another order. Source 1 sends its template, source 2 sends its own, source 1 sends a flow of 100
#   octets from 10.0.0.1.
# Expected: 100 octets from 10.0.0.1. Seen: 167772161 octets from 10.0.0.2.
# Why care: routers with several line cards use one Source ID each; numbers are invented silently.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

npm install --silent --no-fund --no-audit --prefix "$work" node-netflowv9@0.2.16 >/dev/null ||
    cannot_run "npm did not install node-netflowv9 0.2.16"
echo "version:  node-netflowv9 0.2.16"

cat >"$work/decode.js" <<'JAVASCRIPT'
// Prints the records of each message of standard input (hexadecimal, one a line).
const Collector = require("node-netflowv9");
const collector = new Collector({ cb: () => {} });
const sender = { address: "192.0.2.1", port: 5000 };
for (const line of require("fs").readFileSync(0, "utf8").trim().split("\n")) {
  const { flows } = collector.nfPktDecode(Buffer.from(line, "hex"), sender);
  console.log(flows.map(({ fsId, ...record }) => JSON.stringify(record)).join("+") || "none");
}
process.exit(0);
JAVASCRIPT

seen=$(python3 - <<'PYTHON' | NODE_PATH=$work/node_modules node "$work/decode.js" | tail -n 1
import struct
from wire import netflow9, set_of, template_set

first = template_set(256, [(8, 4), (12, 4), (1, 4)], set_id=0)
second = template_set(256, [(1, 4), (8, 4), (12, 4)], set_id=0)
flow = set_of(256, bytes([10, 0, 0, 1, 10, 0, 0, 2]) + struct.pack("!I", 100))
print(netflow9(1, first, source=1).hex())
print(netflow9(1, second, source=2).hex())
print(netflow9(1, flow, source=1, sequence=1).hex())
PYTHON
)
verdict '{"ipv4_src_addr":"10.0.0.1","ipv4_dst_addr":"10.0.0.2","in_bytes":100}' \
    '{"in_bytes":167772161,"ipv4_src_addr":"10.0.0.2","ipv4_dst_addr":"0.0.0.100"}' "$seen"
