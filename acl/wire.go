package acl

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"eximpolicyd/policy"
)

// Bounds of a request. The largest one that the snippet can make is computed in its tests and stays below.
const (
	MaxRequest = 64 << 10
	MaxNames   = 64
	maxName    = 32 // the longest name of ours is 19
)

// resetRequest is what the snippet's fail string sends to make Exim forget a closed descriptor. It alone is met with
// silence.
const resetRequest = "reset"

// Malformed is the error of a request against the grammar. Its text holds no byte of the request but a name.
type Malformed struct{ What string }

// Error says what is wrong.
func (m *Malformed) Error() string { return "malformed: " + m.What }

func malformed(format string, args ...any) error { return &Malformed{fmt.Sprintf(format, args...)} }

// ParseRequest reads one request, as described in the package comment. What stands behind the empty line is ignored,
// since it may or may not have arrived. The error is a *Malformed.
func ParseRequest(raw []byte) (*policy.Request, error) {
	if len(raw) > MaxRequest {
		return nil, malformed("over %d octets", MaxRequest)
	}
	rest := string(raw)
	for i, want := range []string{"request=exim_acl", "v=1"} {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok || line != want {
			return nil, malformed("line %d is not %s", i+1, want)
		}
		rest = after
	}
	b := builder{q: new(policy.Request)}
	for n := 3; rest != "" && rest[0] != '\n'; n++ {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return nil, malformed("line %d is cut", n)
		}
		rest = after
		name, raw, ok := strings.Cut(line, "=")
		if !ok || !validName(name) {
			return nil, malformed("line %d is no name=value", n)
		}
		value, ok := unquote(raw)
		if !ok {
			return nil, malformed("the value of %s", name)
		}
		if err := b.set(name, value); err != nil {
			return nil, err
		}
	}
	return b.finish()
}

// NewRequest makes a request of name=value pairs as a person types them, unquoted, with the protocol's own names and
// client_name and helo_history besides. Without a protocol_state it asks at RCPT. A missing name is a fact that is not
// known. Unknown names are errors here: a person mistypes, a newer snippet does not.
func NewRequest(pairs []Pair) (*policy.Request, error) {
	b := builder{q: new(policy.Request), typed: true}
	for _, p := range pairs {
		if p.Name == "request" || p.Name == "v" {
			continue
		}
		if err := b.set(p.Name, p.Value); err != nil {
			return nil, err
		}
	}
	if b.q.Stage == policy.NoStage {
		b.q.Stage = policy.RCPT
	}
	return b.finish()
}

// Pair is one name and its unquoted value.
type Pair struct{ Name, Value string }

// AppendRequest writes a request as the snippet does.
func AppendRequest(dst []byte, pairs []Pair) []byte {
	dst = append(dst, "request=exim_acl\nv=1\n"...)
	for _, p := range pairs {
		dst = append(dst, p.Name...)
		dst = append(dst, '=')
		dst = appendQuoted(dst, p.Value)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}

// builder fills a request name by name. It stays on the stack; only the request goes on.
type builder struct {
	q     *policy.Request
	seen  uint64   // the places of the names set
	other []string // names that we do not know
	n     int
	typed bool // by a person: unknown names are errors, the names of check are known
}

func (b *builder) set(name, value string) error {
	w, known := protocol[name]
	if w.check && !b.typed {
		w, known = wireName{}, false
	}
	if b.seen&w.place != 0 || !known && slices.Contains(b.other, name) {
		return malformed("%s stands twice", name)
	}
	if b.n++; b.n > MaxNames {
		return malformed("over %d names", MaxNames)
	}
	switch {
	case !known && b.typed:
		return malformed("%s is no name of the protocol", printable(name, maxName))
	case !known:
		b.other = append(b.other, name)
		b.q.UnknownNames++
		return nil
	}
	b.seen |= w.place
	if err := w.set(b.q, value); err != nil {
		return malformed("the value of %s: %v", name, err)
	}
	return nil
}

func (b *builder) finish() (*policy.Request, error) {
	if b.q.Stage == policy.NoStage {
		return nil, malformed("no protocol_state")
	}
	b.q.Settle()
	return b.q, nil
}

// A setter puts one value into the request. Errors do not repeat the value, which may be anything.
type setter func(*policy.Request, string) error

// wireName is a name that the parser knows.
type wireName struct {
	set   setter
	place uint64 // one bit, in the set of those seen; comparing each name with all before it took a quarter of the parsing
	check bool   // only a person types it
}

// protocol has the names of setters and checkSetters. It is built once and only read.
var protocol = places(setters, checkSetters)

func places(setters, checkSetters map[string]setter) map[string]wireName {
	all := make(map[string]wireName, MaxNames) // as many as a uint64 has bits
	for name, set := range setters {
		all[name] = wireName{set: set, place: 1 << len(all)}
	}
	for name, set := range checkSetters {
		all[name] = wireName{set: set, place: 1 << len(all), check: true}
	}
	return all
}

// setters has every name of the protocol. It is built once and only read.
var setters = map[string]setter{
	"protocol_state": func(q *policy.Request, v string) error {
		stage, ok := policy.ParseStage(v)
		q.Stage = stage
		return no(!ok, "no stage of Exim's")
	},
	"instance":            int64Of(func(q *policy.Request) *int64 { return &q.Instance }),
	"client_address":      addressOf(func(q *policy.Request) *netip.Addr { return &q.Client }),
	"client_port":         intOf(func(q *policy.Request) *int { return &q.ClientPort }),
	"server_address":      addressOf(func(q *policy.Request) *netip.Addr { return &q.Server }),
	"server_port":         intOf(func(q *policy.Request) *int { return &q.ServerPort }),
	"proxy_local_address": setProxyAddress,
	"proxy_local_port":    setProxyPort,
	"protocol_name":       textOf(func(q *policy.Request) *string { return &q.Protocol }),
	"server_name":         textOf(func(q *policy.Request) *string { return &q.ServerName }),
	"primary_hostname":    textOf(func(q *policy.Request) *string { return &q.Primary }),
	"helo_name":           knownOf(func(q *policy.Request) *policy.Maybe[string] { return &q.HELO }),
	"ident":               textOf(func(q *policy.Request) *string { return &q.Ident }),
	"uid":                 setUID,
	"cwd":                 textOf(func(q *policy.Request) *string { return &q.CWD }),
	"sasl_method":         textOf(func(q *policy.Request) *string { return &q.AuthBy }),
	"sasl_username":       textOf(func(q *policy.Request) *string { return &q.AuthAs }),
	"auth_fail_id":        textOf(func(q *policy.Request) *string { return &q.AuthFail }),
	"command_history":     textOf(func(q *policy.Request) *string { return &q.History }),
	"tls_cipher":          textOf(func(q *policy.Request) *string { return &q.TLSCipher }),
	"relay_host":          boolOf(func(q *policy.Request) *bool { return &q.RelayHost }),
	"sender":              knownOf(func(q *policy.Request) *policy.Maybe[string] { return &q.Sender }),
	"recipient":           textOf(func(q *policy.Request) *string { return &q.Recipient }),
	"remote_count":        setRemoteCount,
	"remote_first":        textOf(func(q *policy.Request) *string { return &q.RemoteFirst }),
	"rcpt_verify": func(q *policy.Request, v string) error {
		verify, ok := policy.ParseVerify(v)
		q.Verify = verify
		return no(!ok, "not none, ok or unknown")
	},
	"rcpt_verify_failure": textOf(func(q *policy.Request) *string { return &q.VerifyFailure }),
	"rcpt_count":          intOf(func(q *policy.Request) *int { return &q.RcptCount }),
	"rcpt_fail_count":     intOf(func(q *policy.Request) *int { return &q.RcptFailCount }),
	"recipient_count":     intOf(func(q *policy.Request) *int { return &q.Recipients }),
	"size":                int64Of(func(q *policy.Request) *int64 { return &q.Size }),
	"queue_id":            textOf(func(q *policy.Request) *string { return &q.QueueID }),
	"msgid_present":       presentOf(func(q *policy.Request) *policy.Field { return &q.MessageID }),
	"date_present":        presentOf(func(q *policy.Request) *policy.Field { return &q.Date }),
	"from_present":        presentOf(func(q *policy.Request) *policy.Field { return &q.From }),
	"msgid_count":         countOf(func(q *policy.Request) *policy.Field { return &q.MessageID }),
	"date_count":          countOf(func(q *policy.Request) *policy.Field { return &q.Date }),
	"from_count":          countOf(func(q *policy.Request) *policy.Field { return &q.From }),
	"msgid":               textOf(func(q *policy.Request) *string { return &q.MessageID.Value }),
	"msgid_size":          intOf(func(q *policy.Request) *int { return &q.MessageIDSize }),
	"date":                textOf(func(q *policy.Request) *string { return &q.Date.Value }),
	"from":                textOf(func(q *policy.Request) *string { return &q.From.Value }),
	"list_id":             textOf(func(q *policy.Request) *string { return &q.ListID }),
	"spam_score":          textOf(func(q *policy.Request) *string { return &q.SpamScore }),
	"smtp_count":          intOf(func(q *policy.Request) *int { return &q.SMTPCount }),
	"notquit_reason":      textOf(func(q *policy.Request) *string { return &q.NotQuitReason }),
	"tag":                 textOf(func(q *policy.Request) *string { return &q.Tag }),
}

// checkSetters has the names that only a person types: facts that the daemon finds out by itself.
var checkSetters = map[string]setter{
	"client_name": textOf(func(q *policy.Request) *string { return &q.ClientName }),
	"helo_history": func(q *policy.Request, v string) error {
		if v != "" {
			q.HELOHistory = strings.Split(v, ",")
		}
		return nil
	},
}

func textOf(field func(*policy.Request) *string) setter {
	return func(q *policy.Request, v string) error { *field(q) = v; return nil }
}

func knownOf(field func(*policy.Request) *policy.Maybe[string]) setter {
	return func(q *policy.Request, v string) error { *field(q) = policy.Known(v); return nil }
}

// intOf reads a number from -1 up; Exim says -1, 0 or nothing for what it does not know.
func intOf(field func(*policy.Request) *int) setter {
	return func(q *policy.Request, v string) error {
		n, err := number(v, 1<<31-1)
		*field(q) = int(n)
		return err
	}
}

func int64Of(field func(*policy.Request) *int64) setter {
	return func(q *policy.Request, v string) error {
		n, err := number(v, 1<<62)
		*field(q) = n
		return err
	}
}

func boolOf(field func(*policy.Request) *bool) setter {
	return func(q *policy.Request, v string) error {
		*field(q) = v == "1"
		return no(v != "0" && v != "1" && v != "", "neither 0 nor 1")
	}
}

func presentOf(field func(*policy.Request) *policy.Field) setter {
	return func(q *policy.Request, v string) error {
		if v == "" {
			return nil
		}
		field(q).Present = policy.Known(v == "1")
		return no(v != "0" && v != "1", "neither 0 nor 1")
	}
}

func countOf(field func(*policy.Request) *policy.Field) setter {
	return func(q *policy.Request, v string) error {
		n, err := number(v, 1<<31-1)
		field(q).Count = policy.Maybe[int]{Value: int(n), Known: v != "" && err == nil}
		return err
	}
}

func addressOf(field func(*policy.Request) *netip.Addr) setter {
	return func(q *policy.Request, v string) error {
		if v == "" {
			return nil
		}
		a, err := netip.ParseAddr(v)
		*field(q) = a
		return no(err != nil, "no address")
	}
}

func setProxyAddress(q *policy.Request, v string) error {
	var a netip.Addr
	err := addressOf(func(*policy.Request) *netip.Addr { return &a })(q, v)
	q.ProxyLocal = netip.AddrPortFrom(a.Unmap().WithZone(""), q.ProxyLocal.Port())
	return err
}

func setProxyPort(q *policy.Request, v string) error {
	n, err := number(v, 1<<16-1)
	q.ProxyLocal = netip.AddrPortFrom(q.ProxyLocal.Addr(), uint16(max(n, 0)))
	return err
}

func setUID(q *policy.Request, v string) error {
	n, err := number(v, 1<<32-1)
	q.UID = policy.Maybe[uint32]{Value: uint32(max(n, 0)), Known: v != "" && n >= 0 && err == nil}
	return err
}

func setRemoteCount(q *policy.Request, v string) error {
	if v == "unknown" {
		return nil
	}
	n, err := number(v, 1<<31-1)
	q.RemoteCount = policy.Maybe[int]{Value: int(n), Known: v != "" && n >= 0 && err == nil}
	return err
}

var errNumber = errors.New("no number in its range")

func number(v string, most int64) (int64, error) {
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < -1 || n > most {
		return 0, errNumber
	}
	return n, nil
}

// no is an error if it is so.
func no(so bool, what string) error {
	if so {
		return errors.New(what)
	}
	return nil
}
