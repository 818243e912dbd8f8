package acl

import (
	"context"
	"slices"
	"strings"
	"time"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// Stamper makes the signed header field that says where a message came from, or none. It waits for nothing.
// origin.Stamps does it for serve.
type Stamper interface {
	Stamp(*origin.Mail) (field string)
}

// Programs finds out which program of this machine is behind an Exim process that took a message, or nothing. The user is
// the one that Exim says; a process of another user is nobody's program. When ctx ends, it returns, whatever the kernel does.
type Programs interface {
	Program(ctx context.Context, pid int32, uid uint32) policy.Program
}

// programTime is for looking at processes: a helper that hangs must cost no more.
const programTime = 200 * time.Millisecond

// program looks who called Exim. Over TCP Exim's parent is its own listener, which tells nothing.
func (l *live) program(ctx context.Context, q *policy.Request) policy.Program {
	if l.programs == nil || q.Client.IsValid() || !q.UID.Known || ctx.Err() != nil {
		return policy.Program{}
	}
	ctx, stop := context.WithTimeout(ctx, programTime)
	defer stop()
	return l.programs.Program(ctx, l.peer.PID, q.UID.Value)
}

// tell puts into a reply what is told of where a message came from: the signed field before the others, which may be cut. A
// connection that is not proven gets none, or anybody could have a stamp made for somebody else's (exim -bh), nor does a
// message under a configuration that only looks.
func (s *Settings) tell(r *Reply, d *Decision, q *policy.Request, now time.Time) {
	if s.Decider.Mode != policy.Enforce {
		return
	}
	r.Strip = s.Strip && (q.Stage == policy.Mail || q.Stage == policy.NotSMTP)
	from := d.Source
	if from == nil || d.Synthetic || d.Action > policy.Delay && d.Action != policy.Freeze {
		return
	}
	stamp := ""
	if from.Header && s.Stamps != nil {
		stamp = s.Stamps.Stamp(mailOf(from, q, now))
	}
	fields := slices.DeleteFunc([]string{stamp, r.Header, from.Shown}, func(f string) bool { return f == "" })
	r.Header = strings.Join(fields, "\n")
}

// mailOf is what a stamp is made of.
func mailOf(from *policy.Source, q *policy.Request, now time.Time) *origin.Mail {
	m := &origin.Mail{
		Time: now, Host: q.Primary, Queue: q.QueueID, Source: from.How,
		Account: from.Account, Dir: from.Dir, Program: from.Program.Name,
		MessageID: only(&q.MessageID, maxMessageID), Date: only(&q.Date, maxHeaderValue), From: only(&q.From, maxHeaderValue),
	}
	if from.How != policy.Login { // the owner of a connection that somebody logs in over may be a webmail
		m.UID = uid(from.UID)
	}
	return m
}

// How much of a header field's value the snippet sends, in octets.
const (
	maxMessageID   = 2100
	maxHeaderValue = 998
)

// only returns the value of a field that stands in the header once and came whole: what else may be cut, or put together in
// another way by whoever looks at the message later.
func only(f *policy.Field, most int) string {
	if !f.Count.Known || f.Count.Value != 1 || len(f.Value) >= most {
		return ""
	}
	return f.Value
}

func uid(u policy.Maybe[uint32]) *uint32 {
	if !u.Known {
		return nil
	}
	return &u.Value
}
