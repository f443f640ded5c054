#!/usr/bin/env bash
# Go package gopacket 1.7.7 (pcapgo) reads wrong times when the time resolution of a pcapng interface
# is a power of two.
#
# Standard: draft-ietf-opsawg-pcapng, Interface Description Block, if_tsresol: with the most
#   significant bit set, "the remaining bits indicate the resolution of the timestamp as a negative
#   power of 2".
# Input: an interface with the resolution 2^-32 (0xA0), the fraction of an NTP timestamp; packets at
#   0.9 and 1.1 seconds after 1780000000.
# Expected: 0.9 and 1.1. Seen: 0.966 and 1.107: the length of a unit is rounded to a decimal number.
#   google/gopacket 1.1.19 does the same.
# Why care: times between packets are wrong by up to 73 ms; the order changes at a whole second.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

python3 - "$work/capture.pcapng" <<'PYTHON'
import sys
from wire import ethernet, ipv4, pcapng, udp

T = 1_780_000_000
frame = ethernet(0x0800, ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000, 5000, b"x" * 100)))
pcapng(sys.argv[1], [[(9, b"\xa0")]],
       [(0, (T << 32) + tenths * (1 << 32) // 10, frame) for tenths in (9, 11)])
PYTHON
go_program github.com/gopacket/gopacket/pcapgo@v1.7.7 <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/gopacket/gopacket/pcapgo"
)

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	reader, err := pcapgo.NewNgReader(file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		panic(err)
	}
	for {
		_, info, err := reader.ReadPacketData()
		if err != nil {
			return
		}
		fmt.Printf("%.3f ", float64(info.Timestamp.UnixMilli())/1000-1780000000)
	}
}
GO
seen=$("$work/program" "$work/capture.pcapng")
verdict "0.900 1.100" "0.966 1.107" "${seen% }"
