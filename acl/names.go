package acl

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"eximpolicyd/policy"
)

// wireName is a name that the parser knows, and what puts its value into the request. Errors do not repeat the value,
// which may be anything.
type wireName struct {
	name  string
	check bool // only a person types it: a fact that the daemon finds out by itself
	set   setter
}

type setter func(*policy.Request, string) error

// wireNames has every name of the protocol, in the order in which the snippet sends them, so that the parser knows which
// comes next. It is built once and only read; a set of places in it fits a uint64.
var wireNames = []wireName{
	{name: "protocol_state", set: func(q *policy.Request, v string) error {
		stage, ok := policy.ParseStage(v)
		q.Stage = stage
		return no(!ok, "no stage of Exim's")
	}},
	{name: "instance", set: int64Of(func(q *policy.Request) *int64 { return &q.Instance })},
	{name: "client_address", set: addressOf(func(q *policy.Request) *netip.Addr { return &q.Client })},
	{name: "client_port", set: intOf(func(q *policy.Request) *int { return &q.ClientPort })},
	{name: "server_address", set: addressOf(func(q *policy.Request) *netip.Addr { return &q.Server })},
	{name: "server_port", set: intOf(func(q *policy.Request) *int { return &q.ServerPort })},
	{name: "proxy_local_address", set: setProxyAddress},
	{name: "proxy_local_port", set: setProxyPort},
	{name: "protocol_name", set: textOf(func(q *policy.Request) *string { return &q.Protocol })},
	{name: "server_name", set: textOf(func(q *policy.Request) *string { return &q.ServerName })},
	{name: "primary_hostname", set: textOf(func(q *policy.Request) *string { return &q.Primary })},
	{name: "helo_name", set: knownOf(func(q *policy.Request) *policy.Maybe[string] { return &q.HELO })},
	{name: "ident", set: textOf(func(q *policy.Request) *string { return &q.Ident })},
	{name: "uid", set: setUID},
	{name: "cwd", set: textOf(func(q *policy.Request) *string { return &q.CWD })},
	{name: "sasl_method", set: textOf(func(q *policy.Request) *string { return &q.AuthBy })},
	{name: "sasl_username", set: textOf(func(q *policy.Request) *string { return &q.AuthAs })},
	{name: "auth_fail_id", set: textOf(func(q *policy.Request) *string { return &q.AuthFail })},
	{name: "command_history", set: textOf(func(q *policy.Request) *string { return &q.History })},
	{name: "tls_cipher", set: textOf(func(q *policy.Request) *string { return &q.TLSCipher })},
	{name: "relay_host", set: boolOf(func(q *policy.Request) *bool { return &q.RelayHost })},
	{name: "sender", set: knownOf(func(q *policy.Request) *policy.Maybe[string] { return &q.Sender })},
	{name: "recipient", set: textOf(func(q *policy.Request) *string { return &q.Recipient })},
	{name: "remote_count", set: setRemoteCount},
	{name: "remote_first", set: textOf(func(q *policy.Request) *string { return &q.RemoteFirst })},
	{name: "rcpt_verify", set: func(q *policy.Request, v string) error {
		verify, ok := policy.ParseVerify(v)
		q.Verify = verify
		return no(!ok, "not none, ok or unknown")
	}},
	{name: "rcpt_verify_failure", set: textOf(func(q *policy.Request) *string { return &q.VerifyFailure })},
	{name: "rcpt_count", set: intOf(func(q *policy.Request) *int { return &q.RcptCount })},
	{name: "rcpt_fail_count", set: intOf(func(q *policy.Request) *int { return &q.RcptFailCount })},
	{name: "recipient_count", set: intOf(func(q *policy.Request) *int { return &q.Recipients })},
	{name: "size", set: int64Of(func(q *policy.Request) *int64 { return &q.Size })},
	{name: "queue_id", set: textOf(func(q *policy.Request) *string { return &q.QueueID })},
	{name: "msgid_present", set: presentOf(func(q *policy.Request) *policy.Field { return &q.MessageID })},
	{name: "date_present", set: presentOf(func(q *policy.Request) *policy.Field { return &q.Date })},
	{name: "from_present", set: presentOf(func(q *policy.Request) *policy.Field { return &q.From })},
	{name: "msgid_count", set: countOf(func(q *policy.Request) *policy.Field { return &q.MessageID })},
	{name: "date_count", set: countOf(func(q *policy.Request) *policy.Field { return &q.Date })},
	{name: "from_count", set: countOf(func(q *policy.Request) *policy.Field { return &q.From })},
	{name: "msgid", set: textOf(func(q *policy.Request) *string { return &q.MessageID.Value })},
	{name: "msgid_size", set: intOf(func(q *policy.Request) *int { return &q.MessageIDSize })},
	{name: "date", set: textOf(func(q *policy.Request) *string { return &q.Date.Value })},
	{name: "from", set: textOf(func(q *policy.Request) *string { return &q.From.Value })},
	{name: "list_id", set: textOf(func(q *policy.Request) *string { return &q.ListID })},
	{name: "spam_score", set: textOf(func(q *policy.Request) *string { return &q.SpamScore })},
	{name: "smtp_count", set: intOf(func(q *policy.Request) *int { return &q.SMTPCount })},
	{name: "notquit_reason", set: textOf(func(q *policy.Request) *string { return &q.NotQuitReason })},
	{name: "tag", set: textOf(func(q *policy.Request) *string { return &q.Tag })},

	{name: "client_name", check: true, set: textOf(func(q *policy.Request) *string { return &q.ClientName })},
	{name: "helo_history", check: true, set: func(q *policy.Request, v string) error {
		if v != "" {
			q.HELOHistory = strings.Split(v, ",")
		}
		return nil
	}},
}

// placeOf finds a name's place in wireNames.
var placeOf = places(wireNames)

func places(names []wireName) map[string]int {
	places := make(map[string]int, len(names))
	for i := range names {
		places[names[i].name] = i
	}
	return places
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
