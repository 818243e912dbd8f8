package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"eximpolicyd/test/rig"
)

// A verdict is what becomes of a letter, in the words that check --json and the
// decision lines have in common.
type letterVerdict struct {
	Action, Would string
	Rule, Code    string
	Rules         []string // sorted
	Score         string
	Mark          bool
}

// An answer is the last one that the client heard. Code 0 means that it was cut off.
type smtpAnswer struct {
	code int
	text string
}

// firstLetterPort is the client port of the first letter of a run; each has its own,
// by which its decision lines are found.
const firstLetterPort = 10000

// addressed is who takes mail: a site's Exim, or a front.
type addressed interface{ Addr() string }

// connect opens a connection as if from the letter's client.
func (l *letter) connect(s addressed, port int) (net.Conn, error) {
	from, err := netip.ParseAddr(l.client)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(rig.ProxyFrom)}}
	conn, err := d.Dial("tcp4", s.Addr())
	if err != nil {
		return nil, err
	}
	family, server := "TCP4", "192.0.2.26"
	if from.Is6() {
		family, server = "TCP6", "2001:db8::26"
	}
	if _, err := fmt.Fprintf(conn, "PROXY %s %s %s %d 25\r\n", family, from, server, port); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// send brings a letter with an ordinary client.
func (l *letter) send(s addressed, port int) (smtpAnswer, error) {
	conn, err := l.connect(s, port)
	if err != nil {
		return smtpAnswer{}, err
	}
	c := smtp.NewClient(conn)
	defer c.Close() // QUIT has closed it already, if all went well
	a, err := refusalHeard(l.dialogue(c))
	if err != nil {
		return smtpAnswer{}, fmt.Errorf("%s: %w", l.name, err)
	}
	if err := c.Quit(); err != nil {
		return smtpAnswer{}, fmt.Errorf("%s: QUIT: %w", l.name, err)
	}
	return a, nil
}

func (l *letter) dialogue(c *smtp.Client) (string, error) {
	if err := c.Hello(l.greetings[0]); err != nil {
		return "", err
	}
	if l.auth {
		if err := c.Auth(sasl.NewPlainClient("", "alice", rig.Password)); err != nil {
			return "", err
		}
	}
	if err := c.Mail(l.sender, nil); err != nil {
		return "", err
	}
	if err := c.Rcpt(l.recipient, nil); err != nil {
		return "", err
	}
	w, err := c.Data()
	if err != nil {
		return "", err
	}
	if _, err := w.Write([]byte(l.text)); err != nil {
		return "", err
	}
	done, err := w.CloseWithResponse()
	if err != nil {
		return "", err
	}
	return done.StatusText, nil
}

// heard takes a refusal for an answer; anything else that goes wrong is an error.
func refusalHeard(text string, err error) (smtpAnswer, error) {
	var refused *smtp.SMTPError
	switch {
	case errors.As(err, &refused):
		return smtpAnswer{refused.Code, refused.Message}, nil
	case err != nil:
		return smtpAnswer{}, err
	}
	return smtpAnswer{250, text}, nil
}

// sendLetters brings the letters in parallel sessions and returns what each heard.
func sendLetters(t *testing.T, letters []letter, send func(l *letter, port int) (smtpAnswer, error)) []smtpAnswer {
	t.Helper()
	const sessions = 32
	heard := make([]smtpAnswer, len(letters))
	failed := make([]error, len(letters))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range sessions {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(letters); i = int(next.Add(1)) - 1 {
				heard[i], failed[i] = send(&letters[i], firstLetterPort+i)
			}
		})
	}
	workers.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	return heard
}

// verdictsInExim ends the daemon, so that every line is written, and returns what it decided about each letter, by its
// decision lines: every stage that was asked, joined.
func verdictsInExim(t *testing.T, d *rig.Daemon, letters []letter) []letterVerdict {
	t.Helper()
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	list, err := d.Decisions()
	if err != nil {
		t.Fatal(err)
	}
	byPort := map[int][]rig.Decision{}
	late := 0
	for _, one := range list {
		byPort[one.ClientPort] = append(byPort[one.ClientPort], one)
		if one.Degraded {
			late++
		}
	}
	verdicts := make([]letterVerdict, len(letters))
	for i := range letters {
		if verdicts[i], err = joinedLines(byPort[firstLetterPort+i]); err != nil {
			t.Errorf("%s: %v", letters[i].name, err)
		}
	}
	if late > 0 { // on a busy machine; what was not known in time would show in the verdict
		t.Logf("%d of %d decisions took longer than their budget", late, len(list))
	}
	return verdicts
}

// joinedLines makes one verdict of the decision lines of a session with one letter.
func joinedLines(lines []rig.Decision) (letterVerdict, error) {
	v := letterVerdict{Action: "dunno"}
	var asked []string
	for _, l := range lines {
		asked = append(asked, l.Stage)
		if l.Synthetic {
			return v, fmt.Errorf("%s: synthetic", l.Stage)
		}
		for _, r := range l.Rules {
			if !slices.Contains(v.Rules, r) {
				v.Rules = append(v.Rules, r)
			}
		}
		if l.Stage == "QUIT" || l.Stage == "NOTQUIT" {
			continue
		}
		v.Score, v.Mark = l.Score.String(), l.Mark
		if l.Action != "dunno" || l.Would != "" && v.Would == "" {
			v.Action, v.Would, v.Rule, v.Code = l.Action, l.Would, l.Rule, l.Code
		}
	}
	slices.Sort(v.Rules)
	// Asked to the end, or to the stage that refused.
	n := len(asked)
	if !slices.Contains(asked, "RCPT") || asked[n-1] != "QUIT" || slices.Contains(asked, "DATA") != (v.Action == "dunno" || asked[n-2] == "DATA") {
		return v, fmt.Errorf("asked at %v with %s", asked, v.Action)
	}
	return v, nil
}

// eximAt is where a site's Exim listens.
func eximAt(t *testing.T, s *rig.Site) netip.AddrPort {
	t.Helper()
	server, err := netip.ParseAddrPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// verdictsInCheck returns what eximpolicyd check says about each letter.
func verdictsInCheck(t *testing.T, s *rig.Site, config string, letters []letter) []letterVerdict {
	t.Helper()
	server := eximAt(t, s)
	var in bytes.Buffer
	encode := json.NewEncoder(&in)
	for i := range letters {
		if err := encode.Encode(letters[i].request(server)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary(t), "check", "--config", config, "--no-dns", "--jsonl", "-")
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &complaint)
	}
	var verdicts []letterVerdict
	for decode := json.NewDecoder(&out); decode.More(); {
		var d struct {
			Action, Would, Rule, Code string
			Rules                     []string
			Score                     json.Number
			Mark                      bool
		}
		if err := decode.Decode(&d); err != nil {
			t.Fatal(err)
		}
		slices.Sort(d.Rules)
		verdicts = append(verdicts, letterVerdict{d.Action, d.Would, d.Rule, d.Code, slices.Clip(d.Rules), d.Score.String(), d.Mark})
	}
	if len(verdicts) != len(letters) {
		t.Fatalf("%d answers of check for %d letters", len(verdicts), len(letters))
	}
	return verdicts
}
