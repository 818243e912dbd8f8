package acl

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"eximpolicyd/policy"
)

// wireName is a name that the parser knows, and where its value is in a request.
type wireName struct {
	name  string
	check bool // only a person types it: a fact that the daemon finds out by itself
	access
}

// access puts a value into a request, and gets it back. Errors do not repeat the value, which may be anything. What is not
// known has no value.
type access struct {
	set func(*policy.Request, string) error
	get func(*policy.Request) (value string, known bool)
}

// wireNames has every name of the protocol, in the order in which the snippet sends them, so that the parser knows which
// comes next. It is built once and only read; a set of places in it fits a uint64.
var wireNames = []wireName{
	{name: "protocol_state", access: access{
		set: func(q *policy.Request, v string) error {
			stage, ok := policy.ParseStage(v)
			q.Stage = stage
			return no(!ok, "no stage of Exim's")
		},
		get: func(q *policy.Request) (string, bool) { return q.Stage.String(), true },
	}},
	{name: "instance", access: int64Of(func(q *policy.Request) *int64 { return &q.Instance })},
	{name: "client_address", access: addressOf(func(q *policy.Request) *netip.Addr { return &q.Client })},
	{name: "client_port", access: intOf(func(q *policy.Request) *int { return &q.ClientPort })},
	{name: "server_address", access: addressOf(func(q *policy.Request) *netip.Addr { return &q.Server })},
	{name: "server_port", access: intOf(func(q *policy.Request) *int { return &q.ServerPort })},
	{name: "proxy_local_address", access: access{set: setProxyAddress, get: func(q *policy.Request) (string, bool) { return addressText(q.ProxyLocal.Addr()) }}},
	{name: "proxy_local_port", access: access{set: setProxyPort, get: func(q *policy.Request) (string, bool) { return numberText(int64(q.ProxyLocal.Port())) }}},
	{name: "protocol_name", access: textOf(func(q *policy.Request) *string { return &q.Protocol })},
	{name: "server_name", access: textOf(func(q *policy.Request) *string { return &q.ServerName })},
	{name: "primary_hostname", access: textOf(func(q *policy.Request) *string { return &q.Primary })},
	{name: "helo_name", access: knownOf(func(q *policy.Request) *policy.Maybe[string] { return &q.HELO })},
	{name: "ident", access: textOf(func(q *policy.Request) *string { return &q.Ident })},
	{name: "uid", access: access{set: setUID, get: func(q *policy.Request) (string, bool) {
		return strconv.FormatUint(uint64(q.UID.Value), 10), q.UID.Known
	}}},
	{name: "cwd", access: textOf(func(q *policy.Request) *string { return &q.CWD })},
	{name: "sasl_method", access: textOf(func(q *policy.Request) *string { return &q.AuthBy })},
	{name: "sasl_username", access: textOf(func(q *policy.Request) *string { return &q.AuthAs })},
	{name: "auth_fail_id", access: textOf(func(q *policy.Request) *string { return &q.AuthFail })},
	{name: "command_history", access: textOf(func(q *policy.Request) *string { return &q.History })},
	{name: "tls_cipher", access: textOf(func(q *policy.Request) *string { return &q.TLSCipher })},
	{name: "relay_host", access: boolOf(func(q *policy.Request) *bool { return &q.RelayHost })},
	{name: "sender", access: knownOf(func(q *policy.Request) *policy.Maybe[string] { return &q.Sender })},
	{name: "recipient", access: textOf(func(q *policy.Request) *string { return &q.Recipient })},
	{name: "remote_count", access: access{set: setRemoteCount, get: func(q *policy.Request) (string, bool) {
		return strconv.Itoa(q.RemoteCount.Value), q.RemoteCount.Known
	}}},
	{name: "remote_first", access: textOf(func(q *policy.Request) *string { return &q.RemoteFirst })},
	{name: "rcpt_verify", access: access{
		set: func(q *policy.Request, v string) error {
			verify, ok := policy.ParseVerify(v)
			q.Verify = verify
			return no(!ok, "not none, ok or unknown")
		},
		get: func(q *policy.Request) (string, bool) { return q.Verify.String(), q.Verify != policy.VerifyUnasked },
	}},
	{name: "rcpt_verify_failure", access: textOf(func(q *policy.Request) *string { return &q.VerifyFailure })},
	{name: "rcpt_count", access: intOf(func(q *policy.Request) *int { return &q.RcptCount })},
	{name: "rcpt_fail_count", access: intOf(func(q *policy.Request) *int { return &q.RcptFailCount })},
	{name: "recipient_count", access: intOf(func(q *policy.Request) *int { return &q.Recipients })},
	{name: "size", access: int64Of(func(q *policy.Request) *int64 { return &q.Size })},
	{name: "queue_id", access: textOf(func(q *policy.Request) *string { return &q.QueueID })},
	{name: "msgid_present", access: presentOf(func(q *policy.Request) *policy.Field { return &q.MessageID })},
	{name: "date_present", access: presentOf(func(q *policy.Request) *policy.Field { return &q.Date })},
	{name: "from_present", access: presentOf(func(q *policy.Request) *policy.Field { return &q.From })},
	{name: "msgid_count", access: countOf(func(q *policy.Request) *policy.Field { return &q.MessageID })},
	{name: "date_count", access: countOf(func(q *policy.Request) *policy.Field { return &q.Date })},
	{name: "from_count", access: countOf(func(q *policy.Request) *policy.Field { return &q.From })},
	{name: "msgid", access: textOf(func(q *policy.Request) *string { return &q.MessageID.Value })},
	{name: "msgid_size", access: intOf(func(q *policy.Request) *int { return &q.MessageIDSize })},
	{name: "date", access: textOf(func(q *policy.Request) *string { return &q.Date.Value })},
	{name: "from", access: textOf(func(q *policy.Request) *string { return &q.From.Value })},
	{name: "list_id", access: textOf(func(q *policy.Request) *string { return &q.ListID })},
	{name: "spam_score", access: textOf(func(q *policy.Request) *string { return &q.SpamScore })},
	{name: "smtp_count", access: intOf(func(q *policy.Request) *int { return &q.SMTPCount })},
	{name: "notquit_reason", access: textOf(func(q *policy.Request) *string { return &q.NotQuitReason })},
	{name: "tag", access: textOf(func(q *policy.Request) *string { return &q.Tag })},

	{name: "client_name", check: true, access: textOf(func(q *policy.Request) *string { return &q.ClientName })},
	{name: "helo_history", check: true, access: access{
		set: func(q *policy.Request, v string) error {
			if v != "" {
				q.HELOHistory = strings.Split(v, ",")
			}
			return nil
		},
		get: func(q *policy.Request) (string, bool) {
			return strings.Join(q.HELOHistory, ","), len(q.HELOHistory) > 0
		},
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

func textOf(at func(*policy.Request) *string) access {
	return access{
		set: func(q *policy.Request, v string) error { *at(q) = v; return nil },
		get: func(q *policy.Request) (string, bool) { return *at(q), *at(q) != "" },
	}
}

func knownOf(at func(*policy.Request) *policy.Maybe[string]) access {
	return access{
		set: func(q *policy.Request, v string) error { *at(q) = policy.Known(v); return nil },
		get: func(q *policy.Request) (string, bool) { return at(q).Value, at(q).Known },
	}
}

// intOf reads a number from -1 up; Exim says -1, 0 or nothing for what it does not know.
func intOf(at func(*policy.Request) *int) access {
	return access{
		set: func(q *policy.Request, v string) error {
			n, err := number(v, 1<<31-1)
			*at(q) = int(n)
			return err
		},
		get: func(q *policy.Request) (string, bool) { return numberText(int64(*at(q))) },
	}
}

func int64Of(at func(*policy.Request) *int64) access {
	return access{
		set: func(q *policy.Request, v string) error {
			n, err := number(v, 1<<62)
			*at(q) = n
			return err
		},
		get: func(q *policy.Request) (string, bool) { return numberText(*at(q)) },
	}
}

func boolOf(at func(*policy.Request) *bool) access {
	return access{
		set: func(q *policy.Request, v string) error {
			*at(q) = v == "1"
			return no(v != "0" && v != "1" && v != "", "neither 0 nor 1")
		},
		get: func(q *policy.Request) (string, bool) { return "1", *at(q) },
	}
}

func presentOf(at func(*policy.Request) *policy.Field) access {
	return access{
		set: func(q *policy.Request, v string) error {
			if v == "" {
				return nil
			}
			at(q).Present = policy.Known(v == "1")
			return no(v != "0" && v != "1", "neither 0 nor 1")
		},
		get: func(q *policy.Request) (string, bool) {
			if at(q).Present.Value {
				return "1", true
			}
			return "0", at(q).Present.Known
		},
	}
}

func countOf(at func(*policy.Request) *policy.Field) access {
	return access{
		set: func(q *policy.Request, v string) error {
			n, err := number(v, 1<<31-1)
			at(q).Count = policy.Maybe[int]{Value: int(n), Known: v != "" && err == nil}
			return err
		},
		get: func(q *policy.Request) (string, bool) { return strconv.Itoa(at(q).Count.Value), at(q).Count.Known },
	}
}

func addressOf(at func(*policy.Request) *netip.Addr) access {
	return access{
		set: func(q *policy.Request, v string) error { return setAddress(at(q), v) },
		get: func(q *policy.Request) (string, bool) { return addressText(*at(q)) },
	}
}

func setAddress(at *netip.Addr, v string) error {
	if v == "" {
		return nil
	}
	a, err := netip.ParseAddr(v)
	*at = a
	return no(err != nil, "no address")
}

func setProxyAddress(q *policy.Request, v string) error {
	var a netip.Addr
	err := setAddress(&a, v)
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
	q.RemoteCount = policy.Maybe[int]{Value: int(max(n, 0)), Known: v != "" && n >= 0 && err == nil}
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

// numberText writes a number; none is known to be 0.
func numberText(n int64) (string, bool) { return strconv.FormatInt(n, 10), n != 0 }

func addressText(a netip.Addr) (string, bool) { return a.String(), a.IsValid() }

// no is an error if it is so.
func no(so bool, what string) error {
	if so {
		return errors.New(what)
	}
	return nil
}
