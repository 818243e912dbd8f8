package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ours is this daemon with nothing but its lists asking the DNS, as the others. server is a lists' server.
func ours(binary string, server netip.Addr) *peer {
	return &peer{name: "eximpolicyd", lists: true,
		start: func(s *site) error {
			if err := s.write("eximpolicyd.toml", listSettings(netip.AddrPortFrom(server, 53), lists, false)+"\n[state]\ndir = \""+s.path("state")+"\"\n"); err != nil {
				return err
			}
			return s.run(binary, "serve", "--config", s.path("eximpolicyd.toml"), "--socket", s.path("sock"))
		},
		connect: callouts,
	}
}

// callouts connects a caller of our own protocol.
func callouts(s *site) (asker, error) {
	if err := listens(s.path("sock")); err != nil {
		return nil, err
	}
	head, tail, err := requestAround()
	if err != nil {
		return nil, err
	}
	var b []byte
	return &each{socket: s.path("sock"),
		request: func(s sender) []byte {
			b = s.address().AppendTo(append(b[:0], head...))
			b = append(b, tail...)
			return b
		},
		verdict: oneOf("action=deny ", "action=dunno ")}, nil
}

// bareBeside is what any Go server of our protocol could reach: it reads and answers the same bytes, and asks nothing.
func bareBeside() *peer {
	return &peer{name: "a bare Go server",
		start: func(s *site) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			return s.run("sh", "-c", `sleep infinity | "$0" "$@"`, self, bareServer, s.path("sock"),
				"action=dunno id=1xWDRPuHNG end=1\n")
		},
		connect: callouts,
	}
}

// requestAround is what Exim sends at RCPT, up to the client's address and after it. One request a client is what the
// others get: there is none at CONNECT from which the lists could have been asked before.
func requestAround() (head, tail []byte, err error) {
	names, err := names()
	if err != nil {
		return nil, nil, err
	}
	all := client{outsider(0), outsider(1), outsider(2)}.request(names, "RCPT")
	head, tail, found := bytes.Cut(all, []byte(outsider(0).Addr().String()))
	if !found {
		return nil, nil, errors.New("the client's address was not found in the request")
	}
	return head, tail, nil
}

// oneOf reads an answer that has one of two texts.
func oneOf(listed, unlisted string) func([]byte) (bool, error) {
	return func(reply []byte) (bool, error) {
		is := bytes.Contains(reply, []byte(listed))
		if !is && !bytes.Contains(reply, []byte(unlisted)) {
			return false, fmt.Errorf("unexpected answer %q", reply)
		}
		return is, nil
	}
}

func listens(socket string) error {
	fd, err := dial(&unix.SockaddrUnix{Name: socket})
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// rspamd with its module rbl and nothing else: no Redis, no regexps, one language. It logs each message as it does when
// installed, and so do we.
func rspamd() *peer {
	const message = "From: <news@example.com>\r\nTo: <alice@example.org>\r\nSubject: the measured message\r\n" +
		"Date: Thu, 23 Jul 2026 12:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nA line.\r\n"
	return &peer{name: "rspamd", lists: true,
		start: func(s *site) error {
			var rules strings.Builder
			for i := range lists {
				fmt.Fprintf(&rules, "    L%d { symbol = \"L%[1]d\"; rbl = %q; checks = [\"from\"]; ipv6 = false; "+
					"returncodes { L%[1]d_HIT = \"127.0.0.2\"; } }\n", i, listZone(i))
			}
			err := errors.Join(s.write("empty.lua", ""), s.write("rspamd.conf", fmt.Sprintf(`options {
  filters = ""; pidfile = "%[1]s/pid"; tempdir = "%[1]s"; cache_file = "%[1]s/symbols.cache"; hs_cache_dir = "%[1]s/";
  control_socket = "%[1]s/control mode=0600"; url_tld = "/usr/share/rspamd/effective_tld_names.dat";
  dns { nameserver = ["127.0.0.1:53"]; timeout = 1s; sockets = 16; retransmits = 5; }
}
lang_detection { languages_enable = ["en"]; }
logging { type = "file"; filename = "%[1]s/log"; level = "info"; }
lua = "%[1]s/empty.lua";
modules { path = "/usr/share/rspamd/plugins/rbl.lua"; }
actions { reject = 15; }
worker "normal" { bind_socket = "%[1]s/sock mode=0666"; count = 2; }
rbl {
  default_exclude_users = true; default_unknown = true;
  rbls {
%[2]s  }
}
`, s.dir, &rules)))
			if err != nil {
				return err
			}
			return s.run("rspamd", "-f", "-u", "nobody", "-g", "nogroup", "-c", s.path("rspamd.conf"))
		},
		connect: func(s *site) (asker, error) {
			if err := listens(s.path("sock")); err != nil {
				return nil, err
			}
			var b []byte
			return &each{socket: s.path("sock"),
				request: func(s sender) []byte {
					b = append(b[:0], "POST /checkv2 HTTP/1.1\r\nHost: localhost\r\nHelo: mta.example.com\r\nIP: "...)
					b = s.address().AppendTo(b)
					b = fmt.Appendf(b, "\r\nContent-Length: %d\r\n\r\n%s", len(message), message)
					return b
				},
				verdict: oneOf(`"L2_HIT"`, `"symbols":{}`)}, nil
		},
	}
}

// greylistd remembers the triplets of client, sender and recipient.
func greylistd() *peer {
	return &peer{name: "greylistd",
		start: func(s *site) error {
			config := fmt.Sprintf("[socket]\npath = %[1]s/sock\nmode = 0666\n[data]\nupdate = 600\nstatefile = %[1]s/states\n"+
				"tripletfile = %[1]s/triplets\nsavetriplets = true\nsinglecheck = false\nsingleupdate = false\n"+
				"[timeouts]\nretryMin = 600\nretryMax = 28800\nexpire = 5184000\n", s.dir)
			if err := s.write("config", config); err != nil {
				return err
			}
			return s.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--", "/usr/sbin/greylistd", s.path("config"))
		},
		connect: func(s *site) (asker, error) {
			if err := listens(s.path("sock")); err != nil {
				return nil, err
			}
			var b []byte
			return &each{socket: s.path("sock"),
				request: func(s sender) []byte {
					b = s.address().AppendTo(append(b[:0], "update "...))
					b = append(b, " news@example.com alice@example.org"...)
					return b
				},
				verdict: oneOf("black", "grey")}, nil
		},
	}
}

// peersHere runs the part in the name spaces that isolated made.
func peersHere(ctx context.Context, dir string) ([]row, error) {
	b := &bench{dir: dir, binary: filepath.Join(dir, "eximpolicyd")}
	if err := enter(b); err != nil {
		return nil, err
	}
	return peers(ctx, b)
}
