package acl

import (
	"bytes"
	"math/big"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"eximpolicyd/policy"
)

func sourceOf(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The grammar of the package comment once more, in other means than the parser's.
var (
	lineGrammar = regexp.MustCompile(`(?s)\A([a-z0-9_]{1,32})=(?:([A-Za-z0-9_.-]+)|"((?:[^"\\\r\n]|\\["\\nr])*)")\z`)
	escapes     = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\r`, "\r")
	numberForm  = regexp.MustCompile(`\A[-+]?[0-9]+\z`)
	stageForm   = regexp.MustCompile(`\A(CONNECT|HELO|MAIL|RCPT|PREDATA|MIME|DATA|QUIT|NOTQUIT|NOT_SMTP_START|NOT_SMTP)\z`)
	verifyForm  = regexp.MustCompile(`\A(none|ok|unknown|)\z`)
	flagForm    = regexp.MustCompile(`\A[01]?\z`)
	numberMost  = map[string]string{
		"instance": "4611686018427387904", "size": "4611686018427387904", "uid": "4294967295", "proxy_local_port": "65535",
		"client_port": "", "server_port": "", "remote_count": "", "rcpt_count": "", "rcpt_fail_count": "", "recipient_count": "",
		"msgid_count": "", "date_count": "", "from_count": "", "msgid_size": "", "smtp_count": "",
	}
)

// readStrictly returns the pairs of a request behind its first two lines, or says that it is malformed.
func readStrictly(raw []byte) ([]Pair, bool) {
	if len(raw) > 65536 {
		return nil, false
	}
	whole, _, _ := strings.Cut("\n"+string(raw), "\n\n")
	if !strings.Contains(string(raw), "\n\n") {
		if !strings.HasSuffix(whole, "\n") {
			return nil, false
		}
		whole = whole[:len(whole)-1]
	}
	lines := strings.Split(whole, "\n")
	if len(lines) < 4 || lines[1] != "request=exim_acl" || lines[2] != "v=1" || len(lines)-3 > 64 {
		return nil, false
	}
	var pairs []Pair
	seen := map[string]bool{}
	for _, line := range lines[3:] {
		m := lineGrammar.FindStringSubmatch(line)
		if m == nil || seen[m[1]] {
			return nil, false
		}
		seen[m[1]] = true
		pairs = append(pairs, Pair{m[1], m[2] + escapes.Replace(m[3])})
		if !strictValue(pairs[len(pairs)-1]) {
			return nil, false
		}
	}
	return pairs, seen["protocol_state"]
}

func strictValue(p Pair) bool {
	switch p.Name {
	case "protocol_state":
		return stageForm.MatchString(p.Value)
	case "rcpt_verify":
		return verifyForm.MatchString(p.Value)
	case "relay_host", "msgid_present", "date_present", "from_present":
		return flagForm.MatchString(p.Value)
	case "client_address", "server_address", "proxy_local_address":
		_, err := netip.ParseAddr(p.Value)
		return p.Value == "" || err == nil
	}
	most, isNumber := numberMost[p.Name]
	if !isNumber || p.Value == "" || p.Name == "remote_count" && p.Value == "unknown" {
		return true
	}
	if most == "" {
		most = "2147483647"
	}
	n, ok := new(big.Int).SetString(strings.TrimPrefix(p.Value, "+"), 10)
	limit, _ := new(big.Int).SetString(most, 10)
	return numberForm.MatchString(p.Value) && ok && n.Cmp(big.NewInt(-1)) >= 0 && n.Cmp(limit) <= 0
}

// checkAgreement holds the parser against the strict reader, and its result against what is read from the same pairs
// written again.
func checkAgreement(t interface {
	Fatalf(string, ...any)
	Helper()
}, raw []byte) {
	t.Helper()
	q, err := ParseRequest(raw)
	pairs, good := readStrictly(raw)
	if good != (err == nil) {
		t.Fatalf("the grammar says %v, the parser %v, of %q", good, err, raw)
	}
	if !good {
		return
	}
	again := AppendRequest(nil, pairs)
	if !bytes.Contains(raw, []byte("\n\n")) { // an empty line may be one octet more than a request has
		again = again[:len(again)-1]
	}
	q2, err := ParseRequest(again)
	if err != nil {
		t.Fatalf("%v, when written again as %q", err, again)
	}
	if diff := cmp.Diff(q, q2, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
		t.Fatalf("not the same when written again:\n%s", diff)
	}
	if pairs2, good := readStrictly(again); !good || !slices.Equal(pairs, pairs2) {
		t.Fatalf("%q is not %q", pairs2, pairs)
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(fullRequest))
	f.Add([]byte(head + "protocol_state=DATA\nmsgid=\"<a@b>\\n<c@d>\"\nmsgid_count=2\n\n"))
	f.Add([]byte(head + "protocol_state=RCPT\nclient_address=\"::ffff:192.0.2.1\"\nhelo_name=\"\\\"\\\\\x00\xff\"\n"))
	f.Add([]byte(head + "protocol_state=NOT_SMTP\nremote_count=unknown\nuid=65534\ncwd=\"/home/a b\"\n\nbehind"))
	f.Add([]byte("reset"))
	f.Fuzz(func(t *testing.T, raw []byte) { checkAgreement(t, raw) })
}

func TestTheParserAgreesWithTheGrammarOnTheLargestRequests(t *testing.T) {
	for _, end := range []string{"\n", "\n\n", "\n\nbehind"} {
		for _, size := range []int{MaxRequest, MaxRequest + 1} {
			raw := []byte(head + "protocol_state=RCPT\ntag=")
			raw = append(raw, strings.Repeat("a", size-len(raw)-len(end))+end...)
			if _, err := ParseRequest(raw); (err == nil) != (size == MaxRequest) {
				t.Errorf("%d octets that end in %q: %v", size, end, err)
			}
			checkAgreement(t, raw)
		}
	}
}

func TestParserAgreesWithTheGrammar(t *testing.T) {
	names := rapid.SampledFrom(append(namesOfSetters(), "new", "newer_1", "client_name", "", "Helo", strings.Repeat("n", 32), strings.Repeat("n", 33)))
	values := rapid.OneOf(
		rapid.SampledFrom([]string{"", "0", "1", "-1", "+1", "-2", "007", "unknown", "none", "RCPT", "DATA", "NOT_SMTP", "a.b-c_D", "2147483647", "2147483648",
			"4294967295", "4294967296", "65535", "65536", "4611686018427387904", "4611686018427387905", "192.0.2.1", "::1", "fe80::1%e", "1_0", " ", "a b"}),
		rapid.StringMatching(`[a-c"\\\n\r\x00\x7f é]{0,8}`),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(head)
		if rapid.IntRange(0, 9).Draw(t, "with a stage") > 0 {
			raw = append(raw, "protocol_state=RCPT\n"...)
		}
		for range rapid.IntRange(0, 5).Draw(t, "lines") {
			raw = append(raw, names.Draw(t, "name")+"="...)
			if rapid.IntRange(0, 4).Draw(t, "raw value") == 0 {
				raw = append(raw, values.Draw(t, "value")...)
			} else {
				raw = appendQuoted(raw, values.Draw(t, "value"))
			}
			raw = append(raw, '\n')
		}
		raw = append(raw, '\n')
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			i := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
			c := rapid.SampledFrom([]byte("\n\r\"\\=a \x00")).Draw(t, "octet")
			switch rapid.IntRange(0, 2).Draw(t, "change") {
			case 0:
				raw[i] = c
			case 1:
				raw = slices.Insert(raw, i, c)
			default:
				raw = slices.Delete(raw, i, i+1)
			}
			if len(raw) == 0 {
				raw = []byte{c}
			}
		}
		checkAgreement(t, raw)
	})
}

func namesOfSetters() []string {
	var names []string
	for _, w := range wireNames {
		if !w.check {
			names = append(names, w.name)
		}
	}
	slices.Sort(names)
	return names
}

// texts are the fields that hold a value as it came.
var texts = map[string]func(*policy.Request) string{
	"protocol_name": func(q *policy.Request) string { return q.Protocol }, "ident": func(q *policy.Request) string { return q.Ident },
	"helo_name": func(q *policy.Request) string { return q.HELO.Value }, "cwd": func(q *policy.Request) string { return q.CWD },
	"sasl_method": func(q *policy.Request) string { return q.AuthBy }, "sasl_username": func(q *policy.Request) string { return q.AuthAs },
	"auth_fail_id": func(q *policy.Request) string { return q.AuthFail }, "command_history": func(q *policy.Request) string { return q.History },
	"tls_cipher": func(q *policy.Request) string { return q.TLSCipher }, "sender": func(q *policy.Request) string { return q.Sender.Value },
	"recipient": func(q *policy.Request) string { return q.Recipient }, "remote_first": func(q *policy.Request) string { return q.RemoteFirst },
	"rcpt_verify_failure": func(q *policy.Request) string { return q.VerifyFailure }, "queue_id": func(q *policy.Request) string { return q.QueueID },
	"msgid": func(q *policy.Request) string { return q.MessageID.Value }, "date": func(q *policy.Request) string { return q.Date.Value },
	"from": func(q *policy.Request) string { return q.From.Value }, "list_id": func(q *policy.Request) string { return q.ListID },
	"spam_score": func(q *policy.Request) string { return q.SpamScore }, "notquit_reason": func(q *policy.Request) string { return q.NotQuitReason },
	"tag": func(q *policy.Request) string { return q.Tag },
}

func TestAnyOctetsComeOutAsTheyWentIn(t *testing.T) {
	var names []string
	for name := range texts {
		names = append(names, name)
	}
	slices.Sort(names)
	rapid.Check(t, func(t *rapid.T) {
		pairs := []Pair{{"protocol_state", "DATA"}}
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "names") {
			pairs = append(pairs, Pair{name, string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, name))})
		}
		unknown := rapid.SliceOfNDistinct(rapid.StringMatching(`x[a-z0-9_]{0,31}`), 0, 10, rapid.ID).Draw(t, "unknown")
		for _, name := range unknown {
			pairs = append(pairs, Pair{name, string(rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, name))})
		}
		raw := AppendRequest(nil, pairs)
		if bytes.Index(raw, emptyLine) != len(raw)-2 {
			t.Fatalf("an empty line within the request: %q", raw)
		}
		q, err := ParseRequest(raw)
		if err != nil {
			t.Fatalf("%v of %q", err, raw)
		}
		if q.UnknownNames != len(unknown) {
			t.Fatalf("%d unknown names, want %d", q.UnknownNames, len(unknown))
		}
		for _, p := range pairs[1:] {
			if get := texts[p.Name]; get != nil && get(q) != p.Value {
				t.Fatalf("%s is %q, want %q", p.Name, get(q), p.Value)
			}
		}
	})
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "a b", "\"", `\`, "\n\r", "\x00\xff", `\n`, "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := string(appendQuoted(nil, s))
		if strings.ContainsAny(q, "\n\r") {
			t.Errorf("%q has a line end", q)
		}
		if back, ok := unquote(q); !ok || back != s {
			t.Errorf("%q became %q, %v", s, back, ok)
		}
		if back, ok := unquote(s); ok && !strings.Contains(s, "\n") { // a value of a line has none
			if again, ok := unquote(string(appendQuoted(nil, back))); !ok || again != back {
				t.Errorf("%q is read as %q, then as %q", s, back, again)
			}
		}
	})
}
