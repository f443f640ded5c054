#!/usr/bin/env bash
# Prometheus 2.42 stores the creation time of an OpenMetrics counter as a series of its own.
#
# Standard: OpenMetrics 1.0, section "Counter": a MetricPoint has a Total and should have a Created
#   timestamp, sent as the sample NAME_created, the time when the counter began.
# Input: an endpoint in OpenMetrics format with the counter flows: flows_total 5 and flows_created
#   1780000000.5.
# Expected: one series, with its start known. Seen: two series, flows_total and flows_created;
#   the time has no effect on rate() or increase() of flows_total.
# Why care: an exporter that sends creation times doubles the number of its series, and
#   short-lived label combinations are still missing from increase().
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages prometheus=2.42.0+ds-5+deb12u1

python3 - "$work/ports" >/dev/null 2>&1 <<'PYTHON' &
import http.server
import socket
import sys

BODY = b"""# HELP flows Flows.
# TYPE flows counter
flows_total 5
flows_created 1780000000.5
# EOF
"""

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0")
        self.end_headers()
        self.wfile.write(BODY)

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with open(sys.argv[1], "w") as file:
        print(server.server_port, free.getsockname()[1], file=file)
server.serve_forever()
PYTHON
started+=($!)
wait_for "the endpoint listens" test -s "$work/ports"
read -r target port <"$work/ports"
cat >"$work/prometheus.yml" <<CONFIG
global: {scrape_interval: 1s}
scrape_configs: [{job_name: flows, static_configs: [{targets: ["127.0.0.1:$target"]}]}]
CONFIG
unpacked prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
    --web.listen-address="127.0.0.1:$port" >"$work/log" 2>&1 &
started+=($!)

# series: the names and values of the series that begin with flows_.
series() {
    python3 - "$port" <<'PYTHON'
import json
import sys
import urllib.parse
import urllib.request

query = urllib.parse.quote('{__name__=~"flows_.*"}')
url = f"http://127.0.0.1:{sys.argv[1]}/api/v1/query?query={query}"
result = json.load(urllib.request.urlopen(url, timeout=5))["data"]["result"]
print(",".join(sorted(f"{s['metric']['__name__']} {s['value'][1]}" for s in result)))
PYTHON
}
scraped() { series | grep -q flows_total; }
wait_for "Prometheus has scraped the endpoint" scraped
verdict "flows_total 5" "flows_created 1780000000.5,flows_total 5" "$(series)"
