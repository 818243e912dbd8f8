#!/bin/sh
# Runs every fuzz target of the project for the time given, one after the other.
set -eu
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go); do
		printf '%s %s for %s\n' "$dir" "$target" "$1"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 1x "$dir" || exit 1
	done
done
