package acl

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"eximpolicyd/policy"
)

// replyGrammar is the reply of the package comment, in other means than the writer's.
var replyGrammar = regexp.MustCompile(`\Aaction=(dunno|deny|defer|drop)` +
	`( (msg|log|rule|id|hdr|control|delay|tag|note)=([A-Za-z0-9_.,:/-]+|"([ !#-\[\]-~]|\\[\\"nrt]|\\[0-3][0-7][0-7])*"))*` +
	`( strip=1)?( synthetic=1)?( degraded=1)? end=1\n\z`)

// extract takes a field out of a line as Exim's ${extract{key}{line}} does.
func extract(line, key string) (string, bool) {
	rest := strings.Trim(line, " \n")
	for rest != "" {
		name, after, _ := strings.Cut(rest, "=")
		value := ""
		if !strings.HasPrefix(after, `"`) {
			value, rest, _ = strings.Cut(after, " ")
		} else {
			var octets []byte
			i := 1
			for ; i < len(after) && after[i] != '"'; i++ {
				c := after[i]
				if c == '\\' {
					i++
					switch c = after[i]; {
					case c == 'n':
						c = '\n'
					case c == 'r':
						c = '\r'
					case c == 't':
						c = '\t'
					case c >= '0' && c <= '7':
						var octal int
						fmt.Sscanf(after[i:i+3], "%o", &octal)
						c, i = byte(octal), i+2
					}
				}
				octets = append(octets, c)
			}
			value = string(octets)
			rest = after[min(i+1, len(after)):]
		}
		if strings.TrimSpace(name) == key {
			return value, true
		}
		rest = strings.TrimLeft(rest, " ")
	}
	return "", false
}

// fieldsOf are the fields that a reply should have, with their bounds.
func fieldsOf(r *Reply) (fields []Pair, most map[string]int) {
	action, control := r.Action, r.Control
	switch action {
	case policy.Delay:
		action = policy.Dunno
	case policy.Freeze:
		action, control = policy.Dunno, "freeze/no_tell"
	}
	fields = append(fields, Pair{"action", action.String()})
	if action != policy.Dunno {
		fields = append(fields, Pair{"msg", r.Msg}, Pair{"log", r.Log})
	}
	fields = append(fields, Pair{"rule", r.Rule}, Pair{"id", r.ID})
	if action == policy.Dunno { // what is refused gets no header
		fields = append(fields, Pair{"hdr", r.Header})
	}
	fields = append(fields, Pair{"control", control}, Pair{"delay", r.Delay}, Pair{"tag", r.Tag}, Pair{"note", r.Note})
	if r.Strip {
		fields = append(fields, Pair{"strip", "1"})
	}
	if r.Synthetic {
		fields = append(fields, Pair{"synthetic", "1"})
	}
	if r.Degraded {
		fields = append(fields, Pair{"degraded", "1"})
	}
	return append(fields, Pair{"end", "1"}), map[string]int{"msg": maxMsg, "log": maxLog, "hdr": maxHdr, "note": maxNote}
}

// checkReply holds one reply as it is written against the reply itself.
func checkReply(t testing.TB, r *Reply) {
	t.Helper()
	line := string(r.Append(nil))
	if len(line) > MaxReply || !replyGrammar.MatchString(line) {
		t.Fatalf("%d octets against the grammar: %q", len(line), line)
	}
	want, most := fieldsOf(r)
	parsed, err := ParseReply(line)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		value, there := extract(line, w.Name)
		clean := strings.ReplaceAll(w.Value, "\x00", "?")
		if there != (w.Value != "") || !strings.HasPrefix(clean, value) {
			t.Fatalf("%s is %q, %v; want %q", w.Name, value, there, clean)
		}
		bound := most[w.Name]
		if bound == 0 {
			bound = maxWord
		}
		if value != clean && len(appendAll(value)) < bound-7 {
			t.Fatalf("%s is cut at %d octets, long before %d", w.Name, len(appendAll(value)), bound)
		}
		if !there {
			continue
		}
		if len(parsed) == 0 || parsed[0] != (Pair{w.Name, value}) {
			t.Fatalf("ParseReply says %.300q, where %s is %.300q", parsed, w.Name, value)
		}
		parsed = parsed[1:]
	}
	if len(parsed) != 0 {
		t.Fatalf("fields that nobody sent: %.300q", parsed)
	}
}

func appendAll(s string) (out []byte) {
	for i := 0; i < len(s); i++ {
		out = appendEscaped(out, s[i])
	}
	return out
}

func FuzzReply(f *testing.F) {
	f.Add(byte(2), "550 5.7.1 no", "rule=helo.H3", "helo.H3", "0123456789", "", "", "", "", "", byte(0))
	f.Add(byte(4), hostile[0], hostile[1], hostile[2], hostile[3], hostile[4], hostile[5], hostile[6], hostile[0], hostile[1], byte(3))
	f.Add(byte(1), strings.Repeat("\xff", 3000), strings.Repeat("\"", 3000), strings.Repeat("a", 3000), strings.Repeat("\\", 3000),
		strings.Repeat("\n", 3000), strings.Repeat("\xfe", 3000), strings.Repeat("\xfe", 3000), strings.Repeat("\xfe", 3000), strings.Repeat("\x01", 3000), byte(3))
	f.Fuzz(func(t *testing.T, action byte, msg, log, rule, id, hdr, control, delay, tag, note string, flags byte) {
		checkReply(t, &Reply{Action: policy.Action(action % 6), Msg: msg, Log: log, Rule: rule, ID: id, Header: hdr, Control: control,
			Delay: delay, Tag: tag, Note: note, Synthetic: flags&1 != 0, Degraded: flags&2 != 0})
	})
}

// hostile are values that try to be seen as fields of their own.
var hostile = []string{
	"x\" action=accept end=1", "\\\" action=deny", "a\naction=accept\nend=1\n", " end=0 action=drop", "${run{/bin/true}}$acl_m0",
	"\x00\x01\x1b[31m\x7f\x80\xff", "\\", "\"", "\\\\\"", "\\n", "\\061", "=", " ", "\t", "\r\n.\r\n", "a=\"b\" c=\"d", "}{", "'", "é", "\x001",
}

// hostileReply makes one of hostile values and random octets, some of them far too long.
func hostileReply(rnd *rand.Rand) *Reply {
	value := func() string {
		var b strings.Builder
		for range rnd.IntN(4) {
			if b.WriteString(hostile[rnd.IntN(len(hostile))]); rnd.IntN(3) == 0 {
				for range rnd.IntN(8) {
					b.WriteByte(byte(rnd.IntN(256)))
				}
			}
		}
		if rnd.IntN(20) == 0 {
			return strings.Repeat(b.String(), 200)
		}
		return b.String()
	}
	return &Reply{Action: policy.Action(rnd.IntN(6)), Msg: value(), Log: value(), Rule: value(), ID: value(), Header: value(),
		Control: value(), Delay: value(), Tag: value(), Note: value(), Strip: rnd.IntN(2) == 0, Synthetic: rnd.IntN(2) == 0, Degraded: rnd.IntN(2) == 0}
}

func TestHostileRepliesAreOneLine(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3_000 {
		checkReply(t, hostileReply(rnd))
	}
}

// TestEximReadsHostileReplies lets the real Exim take the fields out of hostile replies.
func TestEximReadsHostileReplies(t *testing.T) {
	const exim = "/usr/sbin/exim4"
	if _, err := os.Stat(exim); err != nil {
		t.Skip("exim4 is missing: apt-get install exim4-daemon-heavy lets it read our replies")
	}
	names := []string{"action", "msg", "log", "rule", "id", "hdr", "control", "delay", "tag", "note", "strip", "synthetic", "degraded", "end"}
	rnd := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	var ask strings.Builder
	var lines []string
	for i := range 300 {
		line := string(hostileReply(rnd).Append(nil))
		file := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(file, []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
		for _, name := range names { // the lines that exim -be reads are below 1024 octets
			fmt.Fprintf(&ask, "=${base64:${extract{%s}{${readfile{%s}{ }}}{$value}{(none)}}}\n", name, file)
		}
	}
	cmd := exec.Command(exim, "-be")
	cmd.Stdin = strings.NewReader(ask.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %.500s", err, out)
	}
	answers := strings.Split(strings.ReplaceAll(string(out), "> ", ""), "\n")
	for i, line := range lines {
		for j, name := range names {
			n := i*len(names) + j
			if n >= len(answers) || !strings.HasPrefix(answers[n], "=") {
				t.Fatalf("no answer for %s of %q: %.300q", name, line, answers[min(n, len(answers)-1):])
			}
			got, err := base64.StdEncoding.DecodeString(answers[n][1:])
			want, there := extract(line, name)
			if !there {
				want = "(none)"
			}
			if err != nil || string(got) != want {
				t.Errorf("Exim reads %s as %q, %v; want %q, of %q", name, got, err, want, line)
			}
		}
	}
}

func TestARoomfulOfFieldsFits(t *testing.T) {
	long := strings.Repeat("\xff", 5000)
	r := Reply{Action: policy.Defer, Msg: long, Log: long, Rule: long, ID: long, Header: long, Control: long, Delay: long, Tag: long, Note: long,
		Strip: true, Synthetic: true, Degraded: true}
	for _, action := range []policy.Action{policy.Defer, policy.Dunno} {
		r.Action = action
		if n := len(r.Append(nil)); n > 3241 {
			t.Errorf("%s: %d octets, 3,120 and 121 are said", action, n)
		}
		checkReply(t, &r)
	}
}

func TestBrokenRepliesAreNone(t *testing.T) {
	for _, line := range []string{
		"", "\n", "end=1 action=deny\n", "action=dunno\n", "action=deny msg=\"550", "action=deny msg=\"550 end=1\n", "action=deny end=0\n",
		"action=deny end\n", "action=de ny end=1\n", "ACTION=deny end=1\n", "action=caf\xe9 end=1\n", "action=deny end=", "action=deny end=11\n", "note=\"\\",
	} {
		if fields, err := ParseReply(line); err == nil {
			t.Errorf("%q is read as %q", line, fields)
		}
	}
	whole := string((&Reply{Action: policy.Deny, Msg: "550 5.7.1 no", Note: "\xff\n"}).Append(nil))
	for i := range len(whole) - 1 {
		if fields, err := ParseReply(whole[:i]); err == nil {
			t.Errorf("%q, cut, is read as %q", whole[:i], fields)
		}
	}
}

// TestFitToTheStage has what protocol.md allows: a for the action, h for hdr, c for control, d for delay, n for note, s for strip.
func TestFitToTheStage(t *testing.T) {
	allowed := map[policy.Stage]string{
		policy.NoStage: "n", policy.Connect: "adn", policy.Helo: "adn", policy.Mail: "ahcdns", policy.RCPT: "ahcdns", policy.Predata: "ahcdns",
		policy.MIME: "ahcdns", policy.Data: "ahcdns", policy.Quit: "n", policy.NotQuit: "n", policy.NotSMTPStart: "n", policy.NotSMTP: "ahcns",
	}
	for stage, want := range allowed {
		for action := policy.Dunno; action <= policy.Freeze; action++ {
			r := Reply{Action: action, Msg: "550 m", Log: "l", Header: "h", Control: "queue", Delay: "2s", Tag: "t", Note: "n", Rule: "r", ID: "i", Strip: true}
			r.Fit(stage)
			line := string(r.Append(nil))
			has := func(letter string) bool { return strings.Contains(want, letter) }
			objects := has("a") && action > policy.Delay && action != policy.Freeze && (stage != policy.NotSMTP || action != policy.Defer)
			control := ""
			if has("c") {
				if control = "queue"; action == policy.Freeze {
					control = "freeze/no_tell"
				}
			}
			for field, there := range map[string]bool{"msg": objects, "log": objects, "hdr": has("h") && !objects, "strip": has("s"), "control": has("c"), "delay": has("d"), "note": has("n"), "rule": true, "id": true, "tag": true} {
				if value, is := extract(line, field); is != there || field == "control" && value != control {
					t.Errorf("%s, %s: %s is %q, %v, want %v: %s", stage, action, field, value, is, there, line)
				}
			}
			if verb, _ := extract(line, "action"); (verb != "dunno") != objects || objects && verb != action.String() {
				t.Errorf("%s, %s: action=%s", stage, action, verb)
			}
		}
	}
}
