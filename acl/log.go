package acl

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// Privacy says how addresses of people stand in the log. The zero value writes them out.
type Privacy uint8

// The levels of privacy.
const (
	Full   Privacy = iota // user@example.com
	Hashed                // the local part as eight digits of its SHA-256: the same user is the same word
	None                  // no address at all
)

// ParsePrivacy reads full, hashed or none.
func ParsePrivacy(s string) (Privacy, bool) {
	switch s {
	case "full":
		return Full, true
	case "hashed":
		return Hashed, true
	case "none":
		return None, true
	}
	return Full, false
}

// address returns a mail address, or a login name, as the log may have it.
func (p Privacy) address(s string) string {
	switch {
	case s == "" || p == Full:
		return s
	case p == None:
		return "-"
	}
	local, domain := s, ""
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		local, domain = s[:i], s[i:]
	}
	sum := sha256.Sum256([]byte(local))
	return hex.EncodeToString(sum[:4]) + domain
}

// reason returns the reason of a decision as the log may have it: what a rule quotes there may be an address.
func (p Privacy) reason(s string) string {
	if p == Full || strings.IndexByte(s, '@') < 0 {
		return s
	}
	words := strings.Split(s, `"`) // what a rule quotes has no quote inside
	for i := 1; i < len(words); i += 2 {
		if strings.IndexByte(words[i], '@') >= 0 {
			words[i] = p.address(words[i])
		}
	}
	return strings.Join(words, `"`)
}

// Reply returns what Exim is told of a decision.
func (d *Decision) Reply(q *policy.Request) Reply {
	r := Reply{Action: d.Action, Rule: d.Rule, ID: d.ID, Synthetic: d.Synthetic, Degraded: d.Degraded}
	switch {
	case d.Action == policy.Delay:
		r.Delay = strconv.Itoa(d.Delay) + "s"
		r.Note = "delay=" + r.Delay + " rule=" + d.Rule + " id=" + d.ID + from(q) + ": " + d.Reason
	case d.Action == policy.Freeze:
		r.Note = "on hold rule=" + d.Rule + " id=" + d.ID + from(q) + ": " + d.Reason
	case d.Action != policy.Dunno:
		r.Msg = d.Message()
		r.Log = "rule=" + d.Rule + " id=" + d.ID + from(q) + ": " + d.Reason
	case d.Would != would(policy.Dunno):
		r.Note = "would=" + d.Would.String() + " rule=" + d.Rule + " id=" + d.ID + from(q) + ": " + d.Reason
	}
	if d.Mark {
		r.Header = MarkHeader + ": score=" + d.Score.String() + " rules=" + strings.Join(d.Rules, ",") + " id=" + d.ID
		r.Note = "marked score=" + d.Score.String() + " rules=" + strings.Join(d.Rules, ",") + " id=" + d.ID
	}
	r.Fit(d.Stage)
	return r
}

// MarkHeader is the header field of a marked message. The snippet strips copies that come from outside.
const MarkHeader = "X-Eximpolicyd"

// Message returns what the client is told: code, text, rule and decision id.
func (d *Decision) Message() string { return d.Code + " " + d.Text + " (" + d.Rule + " " + d.ID + ")" }

func from(q *policy.Request) string {
	if !q.Client.IsValid() {
		return ""
	}
	return " client=" + q.Client.String()
}

// level says how loud a decision is: objections and what would have been one at info, and so is every RCPT, DATA and
// local submission; the rest, about four lines a message, only for those who debug.
func (d *Decision) level() slog.Level {
	switch {
	case d.Action != policy.Dunno, d.Would != would(policy.Dunno), d.Mark, d.Degraded, len(d.Bans) > 0:
		return slog.LevelInfo
	case d.Stage == policy.RCPT, d.Stage == policy.Data, d.Stage == policy.NotSMTP:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// logDecision writes the one line of a decision. Client text is escaped by the handler.
func logDecision(s *Settings, d *Decision, q *policy.Request, owner policy.Maybe[uint32], took time.Duration) {
	level := d.level()
	if !s.Log.Enabled(context.Background(), level) {
		return
	}
	line := slog.NewRecord(time.Now(), level, "decision", 0) // without the place in our source, which costs more than the rest
	describe(&line, s.Privacy, d, q, owner, took)
	s.Log.Handler().Handle(context.Background(), line)
}

// describe puts a decision into a line.
func describe(line *slog.Record, privacy Privacy, d *Decision, q *policy.Request, owner policy.Maybe[uint32], took time.Duration) {
	attrs := make([]slog.Attr, 0, 24)
	attrs = append(attrs, slog.String("stage", d.Stage.String()), slog.String("action", d.Action.String()), slog.String("id", d.ID))
	client := "" // always there, and before any word of the client's
	if q.Client.IsValid() {
		client = q.Client.String()
	}
	attrs = append(attrs, slog.String("client_address", client), slog.Int("client_port", q.ClientPort))
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("code", d.Code)
	text("rule", d.Rule)
	text("would", d.Would.String())
	attrs = append(attrs, slog.Any("rules", ruleList(d.Rules)), slog.Any("score", points{d.Score}), slog.Bool("mark", d.Mark))
	text("text", d.Text)
	text("reason", privacy.reason(d.Reason))
	if d.Class != policy.Outside {
		attrs = append(attrs, slog.String("class", d.Class.String()))
	}
	text("helo_name", q.HELO.Value)
	text("sasl_username", privacy.address(q.AuthAs))
	if q.Stage >= policy.Mail {
		attrs = append(attrs, slog.String("sender", privacy.address(q.Sender.Value)))
	}
	text("recipient", privacy.address(q.Recipient))
	text("queue_id", q.QueueID)
	if d.Class == policy.Local && q.UID.Known {
		attrs = append(attrs, slog.Uint64("uid", uint64(q.UID.Value)))
		text("cwd", q.CWD)
	}
	if owner.Known {
		attrs = append(attrs, slog.Uint64("client_uid", uint64(owner.Value)))
	}
	if s := d.Source; s != nil {
		account := s.Account
		if s.How == policy.Login { // which may be an address of somebody's
			account = privacy.address(account)
		}
		text("source", s.How)
		text("account", account)
		text("program", privacy.input("program", s.Program.Name))
		text("args", privacy.input("args", s.Program.Args))
	}
	for i := range d.Bans {
		name := "ban"
		if i > 0 { // of its network, too
			name += strconv.Itoa(i + 1)
		}
		attrs = append(attrs, banned(name, &d.Bans[i]))
	}
	attrs = append(attrs, slog.Bool("synthetic", d.Synthetic), slog.Bool("degraded", d.Degraded), slog.Int64("us", took.Microseconds()))
	line.AddAttrs(attrs...)
}

// banned tells a ban that was made. durable=no says that a crash would lose it, and that it is tried again.
func banned(name string, b *ledger.Ban) slog.Attr {
	mode, durable := policy.Observe, "no"
	if b.Enforced {
		mode = policy.Enforce
	}
	if b.Durable {
		durable = "yes"
	}
	return slog.Group(name, slog.String("network", b.Network.String()), slog.Int("level", b.Level), slog.String("mode", mode.String()),
		slog.String("until", b.Until.UTC().Format(time.RFC3339)), slog.String("rule", b.Rule), slog.String("durable", durable))
}

// points is a score that says itself how it is written in text, too: fmt is slow, and deep on the stack.
type points struct{ policy.Score }

// MarshalText writes one decimal, as MarshalJSON does.
func (p points) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// ruleList is a list in JSON, and words with commas between them in text.
type ruleList []string

// MarshalText joins by commas.
func (r ruleList) MarshalText() ([]byte, error) { return []byte(strings.Join(r, ",")), nil }

// MarshalJSON writes an array, an empty one for nil.
func (r ruleList) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, rule := range r {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, rule...)
		b = append(b, '"')
	}
	return append(b, ']'), nil
}
