#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# fuzz.sh FUZZ DIALOGUE-FUZZ TABLE CORPORA SECONDS PCAP...: every target for SECONDS (600 if 0), each round with a seed of
# its own. CORPORA, a directory with TARGET.corpus for each parser, gets what was found to be of use.
set -eu
program=$1 dialogue=$2 table=$3 corpora=$4 seconds=$5
shift 5
[ "$seconds" -gt 0 ] || seconds=600

# run COMMAND...: with a new seed each time, until the time is over. The command finds its seed in $seed.
run() {
	end=$(($(date +%s) + seconds)) seed=$(date +%s)
	while [ "$(date +%s)" -lt "$end" ]; do
		"$@" >/dev/null || { echo "$target: seed $seed" >&2; exit 1; }
		seed=$((seed + 1))
	done
	echo "$target: nothing found"
}

parse() {
	"$dialogue" "$target" "$seed" 100000 "$corpora/$target.corpus" "$corpora/$target.new"
	mv "$corpora/$target.new" "$corpora/$target.corpus"
}

inspect() {
	"$program" "$target" "$seed" "$rounds" "$table" "$@"
}

for target in http tls dns dns-tcp smtp ftp ssh inflate; do run parse; done
target=packets rounds=200000
run inspect "$@"
target=table rounds=2000
run inspect "$@"
