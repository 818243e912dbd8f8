#!/bin/sh
# Runs every fuzz target of the project for the time given, one after the other. What one finds is written below its
# package's testdata/fuzz, where go test tries it ever after.
set -eu
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go); do
		printf '%s %s for %s: ' "$dir" "$target" "$1"
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 1x "$dir" >"$out" 2>&1; then
			grep -o 'execs: [0-9]*' "$out" | tail -n 1
		elif grep -q 'context deadline exceeded' "$out" && ! grep -q 'Failing input' "$out"; then
			# go test may call its own end of time a failure (golang.org/issue/75804)
			echo 'ended by its time'
		else
			cat "$out"
			exit 1
		fi
	done
done
