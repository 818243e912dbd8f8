package relaytest

import (
	"fmt"
	"slices"
	"strings"
)

// The results of a form; the package comment says what they mean.
const (
	Relays   = "relays"
	Accepted = "accepted"
	Allowed  = "allowed"
	Refused  = "refused"
	Deferred = "deferred"
	Failed   = "error"
	Skipped  = "skipped"
)

// A Result is what a server answered to a form.
type Result struct {
	Form     string `json:"form"`
	Mail     string `json:"mail"` // as it was sent, without its brackets
	Rcpt     string `json:"rcpt"`
	Result   string `json:"result"`
	Stage    string `json:"stage"` // the command that was answered last: connect, helo, starttls, mail, rcpt or data
	Code     int    `json:"code,omitempty"`
	Reply    string `json:"reply"`          // its text, or what went wrong; at most maxText octets of printable ASCII
	Sent     bool   `json:"sent,omitempty"` // a message to the victim was taken
	Exploits string `json:"exploits"`
	Source   string `json:"source"`
	Control  bool   `json:"-"` // it is one of the two controls
}

// A Verdict is what all results say of the server.
type Verdict int

const (
	Untested  Verdict = iota // an answer is missing, or the server refuses what it has to take
	Closed                   // no form relays
	Unclear                  // none relays for sure, but some recipients were taken that may be mailboxes of the server
	Permitted                // the client may relay, as any sender: this says nothing about others
	Open                     // a form relays
)

// verdicts are the words of text and JSON.
func verdicts() []string { return []string{"untested", "closed", "unclear", "permitted", "open"} }

// String returns the verdict's word.
func (v Verdict) String() string { return verdicts()[v] }

// MarshalText returns the verdict's word.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the verdict's word.
func (v *Verdict) UnmarshalText(text []byte) error {
	n := slices.Index(verdicts(), string(text))
	if n < 0 {
		return fmt.Errorf("%.20q is no verdict", text)
	}
	*v = Verdict(n)
	return nil
}

// A Report is a whole test.
type Report struct {
	Server   string   `json:"server"` // what was tested: an address and port, or exim -bh
	Client   string   `json:"client,omitempty"`
	Host     string   `json:"host"`   // the server's name in its greeting
	Domain   string   `json:"domain"` // its domain: the first of the likely ones whose postmaster it takes
	HELO     string   `json:"helo"`   // what we said
	Victim   string   `json:"victim"`
	Token    string   `json:"token"`             // it stands in the subject of every message sent
	TLS      string   `json:"tls,omitempty"`     // its version; the certificate is not checked
	Remarks  []string `json:"remarks,omitempty"` // what limits the test
	Verdict  Verdict  `json:"verdict"`
	Why      string   `json:"why"`
	Controls []Result `json:"controls"`
	Forms    []Result `json:"forms"` // of a form that is the same as another here there is none
}

// Count returns how many forms have a result.
func (r *Report) Count(result string) int {
	n := 0
	for _, f := range r.Forms {
		if f.Result == result {
			n++
		}
	}
	return n
}

// maxText bounds a text of the server: of a reply of several lines the first ones are enough to tell why.
const maxText = 200

// clean returns the printable ASCII of a server's text, and a question mark for anything else. It goes to a terminal.
func clean(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text))
}
