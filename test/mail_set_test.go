package test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"eximpolicyd/test/rig"
)

// setHeader is the header that every mail of the set begins with.
func setHeader() []string {
	return []string{"From: Sender <x@example.org>", "To: alice@" + rig.Domain, "Date: Mon, 23 Nov 2026 12:00:00 +0000",
		"Message-ID: <1@mx.example.org>", "Subject: one of the set"}
}

// writtenLetters reads test/mails/set.txt, which describes itself: the letters
// and, by preset, what is written there of each.
func writtenLetters(t *testing.T) ([]letter, map[string][]letterVerdict) {
	t.Helper()
	text, err := os.ReadFile("mails/set.txt")
	if err != nil {
		t.Fatal(err)
	}
	var letters []letter
	written := map[string][]letterVerdict{}
	for _, part := range strings.Split("\n"+string(text), "\n-- ")[1:] {
		name, lines, ok := strings.Cut(part, " --\n")
		if !ok {
			t.Fatalf("no name: %q", part)
		}
		l, verdicts, err := writtenLetter(strings.TrimSpace(lines))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		l.name = name
		letters = append(letters, l)
		for preset, v := range verdicts {
			written[preset] = append(written[preset], v)
		}
	}
	for _, preset := range allPresets() {
		if len(written[preset]) != len(letters) {
			t.Fatalf("%d letters, %d with what becomes of them in %s", len(letters), len(written[preset]), preset)
		}
	}
	return letters, written
}

func writtenLetter(lines string) (letter, map[string]letterVerdict, error) {
	l := letter{client: "203.0.113.7", sender: "x@example.org", recipient: "alice@" + rig.Domain}
	fields := setHeader()
	verdicts := map[string]letterVerdict{}
	for _, line := range strings.Split(lines, "\n") {
		word, value, _ := strings.Cut(line, " ")
		var err error
		switch word {
		case "helo":
			l.greetings = append(l.greetings, value)
		case "client":
			l.client = value
		case "auth":
			l.auth = true
		case "from":
			l.sender = strings.Trim(value, "<>")
		case "to":
			l.recipient = value + "@" + rig.Domain
		case "-":
			n := len(fields)
			fields = slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, value+":") })
			if len(fields) == n {
				err = fmt.Errorf("no field %s", value)
			}
		case "+":
			value, err = strconv.Unquote(`"` + strings.ReplaceAll(value, `"`, `\"`) + `"`)
			fields = append(fields, value)
		case "all", "lenient", "rfc", "strict":
			var v letterVerdict
			v, err = writtenVerdict(value)
			for _, preset := range allPresets() {
				if word == "all" || word == preset {
					verdicts[preset] = v
				}
			}
		default:
			err = fmt.Errorf("what is %q?", word)
		}
		if err != nil {
			return l, nil, fmt.Errorf("%s: %w", line, err)
		}
	}
	switch {
	case l.greetings == nil:
		l.greetings = []string{"mx.example.org"}
	case l.greetings[0] == "-":
		l.greetings = nil
	}
	l.relay = l.client == setRelay || l.client == "127.0.0.1" // Exim relays for localhost
	l.text = strings.Join(fields, "\n") + "\n\ntext\n"
	return l, verdicts, nil
}

// writtenVerdict reads "deny helo.H3 1.5 helo.H3 helo.H10".
func writtenVerdict(line string) (letterVerdict, error) {
	words := strings.Fields(line)
	if len(words) < 3 {
		return letterVerdict{}, errors.New("action, rule and score are wanted")
	}
	v := letterVerdict{Action: "dunno", Score: words[2], Rules: words[3:]}
	switch words[0] {
	case "pass":
	case "mark":
		v.Mark = true
	case "deny":
		v.Action, v.Rule, v.Code = "deny", words[1], "550 5.7.1"
		if v.Rule == "helo.H1" {
			v.Code = "503 5.5.1"
		}
	default:
		return v, fmt.Errorf("what is %q?", words[0])
	}
	slices.Sort(v.Rules)
	return v, nil
}

// setRelay is in the relay_from_hosts of the set's site.
const setRelay = "198.51.100.99"

// setMain lets every greeting reach us, and none: by default Exim refuses a
// name with illegal characters and, since 4.96, MAIL before HELO by itself.
const setMain = "helo_accept_junk_hosts = *\nhosts_require_helo ="

func setConfig(preset string) string {
	return corpusConfig(preset) + `
[exempt]
allow = ["198.51.100.200"]
relay = ["198.51.100.0/28"]
`
}

// speak brings a letter word for word, where send is polite: any number of
// greetings, and every byte of the text as it is.
func (l *letter) speak(s addressed, port int) (smtpAnswer, error) {
	conn, err := l.connect(s, port)
	if err != nil {
		return smtpAnswer{}, err
	}
	defer conn.Close()
	c, r, err := rig.Talk(conn)
	if err != nil || r.Code != 220 {
		return smtpAnswer{}, errors.Join(err, fmt.Errorf("%s: greeted with %d %s", l.name, r.Code, r.Text))
	}
	var before []string
	for _, name := range l.greetings {
		before = append(before, "EHLO "+name)
	}
	if l.auth {
		before = append(before, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00alice\x00"+rig.Password)))
	}
	for _, line := range before {
		if r := c.Say(line); r.Code/100 != 2 {
			return smtpAnswer{}, fmt.Errorf("%s: %s: %d %s", l.name, line, r.Code, r.Text)
		}
	}
	r = c.Message(l.sender, []string{l.recipient}, l.text)
	if bye := c.Say("QUIT"); bye.Code != 221 {
		return smtpAnswer{}, fmt.Errorf("%s: QUIT: %d %s", l.name, bye.Code, bye.Text)
	}
	return smtpAnswer{r.Code, r.Text}, nil
}

func TestTheWrittenMailsAreJudgedAsWrittenInEximAndInCheck(t *testing.T) {
	letters, written := writtenLetters(t)
	if len(letters) < 60 {
		t.Fatalf("%d letters", len(letters))
	}
	s := started(t, rig.Config{Flavour: "stock", Queue: true, RelayHosts: []string{setRelay}, Main: setMain})
	for _, preset := range allPresets() {
		config := strings.Replace(setConfig(preset), `domains = [`, `domains = ["example.net", `, 1)
		d := daemon(t, s, config)
		heard := sendLetters(t, letters, func(l *letter, port int) (smtpAnswer, error) { return l.speak(s, port) })
		inExim := verdictsInExim(t, d, letters)
		inCheck := verdictsInCheck(t, s, d.ConfigFile(), letters)
		for i := range letters {
			if diff := cmp.Diff(written[preset][i], inExim[i], cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s: written (-) and Exim (+) differ:\n%s", preset, letters[i].name, diff)
			}
			if diff := cmp.Diff(written[preset][i], inCheck[i], cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s: written (-) and check (+) differ:\n%s", preset, letters[i].name, diff)
			}
		}
		sameInFront(t, "written mail, "+preset, config, letters, inExim, (*letter).speak,
			"--user", "alice:"+rig.Password, "--relay-host", setRelay, "--relay-host", "127.0.0.1")
		if others := toldClients(t, letters, inExim, heard); len(others) > 0 {
			t.Errorf("%s: Exim itself refused: %v", preset, others)
		}
	}
}
