#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# fuzz.sh FUZZ-PROGRAM TABLE SECONDS PCAP...: every target for SECONDS (600 if 0), each round with a seed of its own.
set -eu
program=$1 table=$2 seconds=$3
shift 3
[ "$seconds" -gt 0 ] || seconds=600
for target in packets http tls dns dns-tcp smtp ftp ssh inflate table; do
	rounds=200000
	[ "$target" = table ] && rounds=2000
	end=$(($(date +%s) + seconds)) seed=$(date +%s)
	while [ "$(date +%s)" -lt "$end" ]; do
		"$program" "$target" "$seed" "$rounds" "$table" "$@" || { echo "$target: seed $seed" >&2; exit 1; }
		seed=$((seed + 1))
	done
	echo "$target: nothing found"
done
