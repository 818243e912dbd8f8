package relaytest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
)

// polite says what comes before RCPT, and then what a test says.
func polite(greeting string, then func(conn net.Conn, line string) bool) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, in *bufio.Reader) {
		fmt.Fprint(conn, greeting)
		for {
			line, err := in.ReadString('\n')
			if err != nil || then(conn, strings.TrimSpace(line)) {
				return
			}
		}
	}
}

func TestAHostileServerIsBoundedAndItsTextHarmless(t *testing.T) {
	const hello = "220 mx.example.com ESMTP\r\n"
	rcpt := func(answer string) func(net.Conn, *bufio.Reader) {
		return polite(hello, func(conn net.Conn, line string) bool {
			if strings.HasPrefix(line, "RCPT") {
				fmt.Fprint(conn, answer)
				return false
			}
			fmt.Fprint(conn, "250 mx.example.com\r\n")
			return false
		})
	}
	forever := func(conn net.Conn, text string, pause time.Duration) {
		for {
			if _, err := fmt.Fprint(conn, text); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}
	for _, c := range []struct {
		name   string
		script func(net.Conn, *bufio.Reader)
		why    string        // of the verdict
		reply  string        // to the first form, or ""
		most   time.Duration // of the whole test
	}{
		{"a banner without end", func(conn net.Conn, _ *bufio.Reader) { forever(conn, "220-still here\r\n", 0) }, "3 connections in a row came to nothing: connect: a reply of over 64 kB", "", 10 * time.Second},
		{"a banner that drips", func(conn net.Conn, _ *bufio.Reader) { forever(conn, "2", 20*time.Second) }, "3 connections in a row came to nothing: connect: no answer in time", "", 4 * time.Minute},
		{"a line of 10 MB", func(conn net.Conn, _ *bufio.Reader) { forever(conn, strings.Repeat("a", 10<<20), 0) }, "3 connections in a row came to nothing: connect: a line of over 2000 octets", "", 10 * time.Second},
		{"silence", func(conn net.Conn, in *bufio.Reader) { _, _ = in.ReadString(0) }, "3 connections in a row came to nothing: connect: no answer in time", "", 4 * time.Minute},
		{"an end without a word", func(net.Conn, *bufio.Reader) {}, "3 connections in a row came to nothing: connect: the connection ended", "", 10 * time.Second},
		{"garbage", func(conn net.Conn, in *bufio.Reader) {
			fmt.Fprint(conn, "\x1b]0;owned\x07\x00\xff\r\n")
			_, _ = in.ReadString(0)
		},
			"3 connections in a row came to nothing: connect: ", "", 10 * time.Second},
		{"421 at once", func(conn net.Conn, _ *bufio.Reader) { fmt.Fprint(conn, "421 too many connections\r\n") }, "3 connections in a row came to nothing: connect: 421 too many connections", "", 10 * time.Second},
		{"554 at once", func(conn net.Conn, _ *bufio.Reader) { fmt.Fprint(conn, "554 no service for you\r\n") }, "3 connections in a row came to nothing: connect: 554 no service for you", "", 10 * time.Second},
		{"an answer of many lines", rcpt("550-one\r\n550-two\r\n550-three\r\n550-four\r\n550 five\r\n"), "it refuses its own postmaster@mx.example.com", "550 one two three four", time.Minute},
		{"escapes for the terminal", rcpt("550 \x1b[2J\x1b]0;owned\x07 \u202etxt\x9b31m\r\n"), "it refuses its own postmaster@mx.example.com", "550 ?[2J?]0;owned? ?txt?31m", time.Minute},
		{"another code in the same answer", rcpt("250-ok\r\n550 no\r\n"), "after 30m", "no answer in time", 32 * time.Minute},
		{"no number", rcpt("ok\r\n"), "42 of 46 forms have no answer", "", time.Minute},
		{"a success that is none", rcpt("354 go ahead\r\n"), "42 of 46 forms have no answer", "354 go ahead", time.Minute},
		{"an answer before the question", polite(hello, func(conn net.Conn, line string) bool {
			if strings.HasPrefix(line, "MAIL") {
				fmt.Fprint(conn, "250 sender ok\r\n250 recipient ok\r\n")
				return false
			}
			fmt.Fprint(conn, "250-mx.example.com\r\n250 PIPELINING\r\n")
			return false
		}), "42 of 46 forms have no answer", "it answered before it was asked", time.Minute},
		{"each answer at the last moment", func(conn net.Conn, in *bufio.Reader) {
			time.Sleep(commandTime - time.Second)
			polite(hello, func(conn net.Conn, _ string) bool {
				time.Sleep(commandTime - time.Second)
				fmt.Fprint(conn, "250 mx.example.com\r\n")
				return false
			})(conn, in)
		}, "after 3", "no answer in time", 34 * time.Minute},
		{"an end at RCPT", polite(hello, func(conn net.Conn, line string) bool {
			fmt.Fprint(conn, "250 mx.example.com\r\n")
			return strings.HasPrefix(line, "MAIL")
		}), "42 of 46 forms have no answer", "the connection ended", time.Minute},
		{"421 at RCPT", rcpt("421 closing\r\n"), "42 of 46 forms have no answer: 42 deferred", "421 closing", time.Minute},
		{"a name that is none", polite("220 {victim}<b>\x1b[1m ESMTP\r\n", func(conn net.Conn, line string) bool {
			fmt.Fprint(conn, "250 \x1b[1m\r\n")
			return false
		}), "", "250 ?[1m", time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial, wait := speaking(c.script)
				start := time.Now()
				rep, err := Test(context.Background(), options(dial))
				if err != nil {
					t.Fatal(err)
				}
				wait()
				took := time.Since(start)
				if c.why != "" && (rep.Verdict != Untested || !strings.HasPrefix(rep.Why, c.why)) {
					t.Errorf("%s: %s", rep.Verdict, rep.Why)
				}
				if took > c.most {
					t.Errorf("it took %v", took)
				}
				if len(rep.Forms) > 0 && c.reply != "" {
					if r := rep.Forms[0]; r.answer() != c.reply {
						t.Errorf("%s: %q", r.Result, r.answer())
					}
				}
				for _, r := range rep.Forms {
					if strings.IndexFunc(r.Reply, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 || len(r.Reply) > maxText {
						t.Errorf("%q", r.Reply)
					}
				}
				if rep.Host != "" && !IsName(rep.Host) {
					t.Errorf("host %q", rep.Host)
				}
			})
		})
	}
}

func TestAServerHearsNothingButAnEnvelope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := map[string]int{}
		dial, wait := speaking(polite("220 mx.example.com ESMTP\r\n", func(conn net.Conn, line string) bool {
			verb, _, _ := strings.Cut(line, " ")
			heard[verb]++
			fmt.Fprint(conn, "250 mx.example.com\r\n") // it takes everything
			return false
		}))
		rep, err := Test(context.Background(), options(dial))
		if err != nil {
			t.Fatal(err)
		}
		wait()
		n := heard["EHLO"]
		if rep.Verdict != Open || n < 25 || heard["MAIL"] < 25 || heard["RCPT"] != heard["MAIL"] || heard["QUIT"] != n {
			t.Errorf("%s: %v", rep.Verdict, heard)
		}
		delete(heard, "EHLO")
		delete(heard, "MAIL")
		delete(heard, "RCPT")
		delete(heard, "QUIT")
		if len(heard) > 0 {
			t.Errorf("and %v", heard)
		}
	})
}

func TestATarpitThatAnswersInTheEndIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mailer{rcpt: func(to string) error { time.Sleep(30 * time.Second); return ownOnly(to) }}
		if rep := test(t, m, nil, nil); rep.Verdict != Closed {
			t.Errorf("%s: %s", rep.Verdict, rep.Why)
		}
	})
}

// certificate is one that nobody vouches for.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"other.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestTLSIsUsedWhereItIsOfferedUnderOurName(t *testing.T) {
	config := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		m := &mailer{rcpt: ownOnly}
		rep := test(t, m, func(s *smtp.Server) { s.TLSConfig = config }, func(o *Options) { o.TLS = true })
		if rep.Verdict != Closed || rep.TLS != "TLS 1.3" || rep.Remarks != nil {
			t.Errorf("%s: %s, %q, %q", rep.Verdict, rep.Why, rep.TLS, rep.Remarks)
		}
		for _, name := range m.names {
			if name != "client.example" {
				t.Errorf("it said EHLO %s", name)
			}
		}
		if rep := test(t, &mailer{rcpt: ownOnly}, func(s *smtp.Server) { s.TLSConfig = config }, nil); rep.TLS != "" || rep.Verdict != Closed {
			t.Errorf("without: %q, %s", rep.TLS, rep.Verdict)
		}
	})
}

func TestTLSFromTheFirstOctetIsSpokenWhereItIsAsked(t *testing.T) {
	config := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		dial, wait := speaking(func(conn net.Conn, _ *bufio.Reader) {
			secure := tls.Server(conn, config)
			in := bufio.NewReader(secure)
			polite("220 mx.example.com\r\n", func(_ net.Conn, line string) bool {
				if strings.HasPrefix(line, "RCPT TO:<relaytest") {
					fmt.Fprint(secure, "550 no\r\n")
				} else {
					fmt.Fprint(secure, "250 mx.example.com\r\n")
				}
				return line == "QUIT"
			})(secure, in)
			secure.Close()
		})
		o := options(dial)
		o.Wrapped = true
		rep, err := Test(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		wait()
		if rep.TLS != "TLS 1.3" || of(t, rep, "stranger").Result != Refused {
			t.Errorf("%s: %s, %q", rep.Verdict, rep.Why, rep.TLS)
		}
	})
}

func TestAServerWhoseTLSIsBrokenIsTestedWithout(t *testing.T) {
	for _, answer := range []string{"220 go\r\nthis is no TLS\r\n", "454 not now\r\n", "220 go\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			dial, wait := speaking(polite("220 mx.example.com\r\n", func(conn net.Conn, line string) bool {
				switch {
				case strings.HasPrefix(line, "EHLO"):
					fmt.Fprint(conn, "250-mx.example.com\r\n250 STARTTLS\r\n")
				case line == "STARTTLS":
					fmt.Fprint(conn, answer)
					return strings.HasSuffix(answer, "go\r\n")
				case strings.HasPrefix(line, "RCPT TO:<postmaster@mx.example.com>"):
					fmt.Fprint(conn, "250 ok\r\n")
				case strings.HasPrefix(line, "RCPT"):
					fmt.Fprint(conn, "550 no\r\n")
				default:
					fmt.Fprint(conn, "250 ok\r\n")
				}
				return false
			}))
			o := options(dial)
			o.TLS = true
			rep, err := Test(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			wait()
			if rep.Verdict != Closed || rep.TLS != "" || !strings.Contains(strings.Join(rep.Remarks, ""), "STARTTLS failed") {
				t.Errorf("%q: %s: %s, %q", answer, rep.Verdict, rep.Why, rep.Remarks)
			}
		})
	}
}
