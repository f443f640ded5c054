#!/usr/bin/env bash
# npm node-netflowv9 0.2.16 reads only the first options template of a FlowSet, and that one wrongly
# when a second follows.
#
# Standard: RFC 3954, section 6.1: an Options Template FlowSet has one or more Options Template
#   Records; the option length states where each ends.
# Input: a FlowSet with options template 300 (scope System, sampling interval 34) and 301 (scope
#   Interface, interface name 82); then one record of each.
# Expected: a record of each. Seen: none of both: the rest of the FlowSet is taken for fields of
#   template 300, which then has more octets than its records.
# Why care: the sampling rate is lost, and traffic is counted without it.
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

seen=$(python3 - <<'PYTHON' | NODE_PATH=$work/node_modules node "$work/decode.js" | tail -n 2
import struct
from wire import netflow9, set_of

sampling = struct.pack("!HHHHHHH", 300, 4, 4, 1, 4, 34, 4)
interface = struct.pack("!HHHHHHH", 301, 4, 4, 2, 4, 82, 8)
print(netflow9(2, set_of(1, sampling + interface)).hex())
print(netflow9(1, set_of(300, struct.pack("!II", 0, 1000)), sequence=1).hex())
print(netflow9(1, set_of(301, struct.pack("!I8s", 7, b"eth0")), sequence=2).hex())
PYTHON
)
verdict "a record of template 300, a record of template 301" "none, none" \
    "$(paste -s -d , <<<"$seen" | sed 's/,/, /')"
