# make          what there is
# make run      serve in the foreground as any user; ENFORCE=forgeries refuses forged greetings
# make test     everything, with real Exim; installs what is missing
# make bench    the figures of the README, in interleaved pairs
# make bench-peers  the same requests to rspamd, postfwd, policyd-weight, postgrey, greylistd
# make fuzz     every fuzz target for FUZZTIME

GO          ?= go
FUZZTIME    ?= 20s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
export CGO_ENABLED ?= 1

.PHONY: help build run test lint install-tests bench bench-peers fuzz clean
help:
	@sed -n 's/^# //p' Makefile

build:
	CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags=-s -o bin/eximpolicyd ./cmd/eximpolicyd

run: build
	@test/run.sh $(ENFORCE)

test: install-tests lint
	set -o pipefail; $(GO) test -race -count=1 -timeout 20m -json ./... | $(GO) run ./test/tally

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

install-tests:
	@test/install.sh

bench: install-tests
	$(GO) run ./test/bench

bench-peers:
	@test/install.sh peers
	$(GO) run ./test/bench -peers

fuzz:
	@test/fuzz.sh $(FUZZTIME)

clean:
	rm -rf bin run

SHELL := /bin/bash
