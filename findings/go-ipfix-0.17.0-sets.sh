#!/usr/bin/env bash
# Go package github.com/vmware/go-ipfix 0.17.0 reads a Message as one Set: the header of the second
# Set becomes a record.
#
# Standard: RFC 7011, section 3: a Message is a header followed by zero or more Sets; section 3.3.2:
#   each begins with its own ID and length.
# Input: a Message of one template, then one of two Data Sets of it, each with the record of one
#   address.
# Expected: two records, 10.0.0.1 and 10.0.0.2. Seen: a third one, 1.0.0.8, between them: the ID (256)
#   and the length (8) of the second Set. The length of a Set is not looked at.
# Why care: exporters that put several templates' records into one Message are read as traffic that
#   does not exist, without an error. The flow aggregator of Antrea collects with this package.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

go_ipfix
python3 - "$port" <<'PYTHON'
import sys
from wire import ipfix, send, set_of, template_set

records = [set_of(256, bytes([10, 0, 0, host])) for host in (1, 2)]
# From one port: it is the session, which has the template.
send(int(sys.argv[1]), ipfix(template_set(256, [(8, 4)])), ipfix(*records))
PYTHON
wait_for "the last record arrives" grep -q 10.0.0.2 "$work/records"
verdict "10.0.0.1 10.0.0.2" "10.0.0.1 1.0.0.8 10.0.0.2" "$(xargs <"$work/records")"
