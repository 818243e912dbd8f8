# make          what there is
# make run      serve in the foreground as any user; ENFORCE=forgeries refuses forged greetings
# make test     everything, with real Exim; installs what is missing
# make bench    the figures of the README, in interleaved pairs
# make soak     whether anything of a daemon grows that is asked evenly FOR=24h
# make bench-peers  the same requests to rspamd, postfwd, policyd-weight, postgrey, greylistd
# make fuzz     every fuzz target for FUZZTIME
# make install  into /usr, or PREFIX=/usr/local; below DESTDIR, if that is set. make uninstall takes it away, but for /etc
# make deb      bin/eximpolicyd_*.deb, a Debian package
# make tarball  bin/eximpolicyd-*.tar.gz, for any Linux: a static binary with an install.sh

GO          ?= go
FUZZTIME    ?= 20s
FOR         ?= 24h
B           ?= bin
VERSION     ?=
PREFIX      ?= /usr
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
export CGO_ENABLED ?= 1
# The day of the release, which the manual has, too: packages of the same source are the same.
export SOURCE_DATE_EPOCH ?= $(shell date -ud "$$(sed -n 's/^const released = "\(.*\)"$$/\1/p' cmd/eximpolicyd/main.go)" +%s)

.PHONY: help build run test lint install-tests bench bench-peers soak fuzz tree install uninstall deb tarball clean
help:
	@sed -n 's/^# //p' Makefile

build:
	CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags='-s $(if $(VERSION),-X main.release=$(VERSION))' \
		-o $(B)/eximpolicyd ./cmd/eximpolicyd

run: build
	@test/run.sh $(ENFORCE)

test: install-tests lint
	set -o pipefail; $(GO) test -race -count=1 -timeout 20m -json ./... | $(GO) run ./test/tally

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	cd packaging/deb && $(GO) vet . && $(GO) run $(STATICCHECK) .

install-tests:
	@test/install.sh

bench: install-tests
	$(GO) run ./test/bench

bench-peers:
	@test/install.sh peers
	$(GO) run ./test/bench -peers

soak:
	$(GO) run ./test/bench -soak $(FOR)

fuzz:
	@test/fuzz.sh $(FUZZTIME)

tree: build
	@GO=$(GO) packaging/tree.sh $(B)/eximpolicyd $(B)/tree

install: tree
	@DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) $(B)/tree/install.sh

uninstall: tree
	@DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) $(B)/tree/install.sh --remove

deb: tree
	@rm -rf $(B)/root
	@DESTDIR=$(abspath $(B)/root) PREFIX=/usr $(B)/tree/install.sh
	@cd packaging/deb && $(GO) run . -root $(abspath $(B)/root) -to $(abspath $(B)) -arch $$($(GO) env GOARCH) \
		-version $$($(abspath $(B)/tree/eximpolicyd) version | cut -d' ' -f2)

tarball: tree
	@packaging/tarball.sh $(B)/tree $(B)

clean:
	rm -rf bin run

SHELL := /bin/bash
