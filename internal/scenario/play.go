package scenario

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"eximpolicyd/acl"
	"eximpolicyd/policy"
)

// Result is what came of a file.
type Result struct {
	File  string       `json:"file"`
	OK    bool         `json:"ok"`
	Cases []CaseResult `json:"cases"`
}

// CaseResult is what came of a case.
type CaseResult struct {
	Name     string    `json:"name"`
	Line     int       `json:"line"`
	OK       bool      `json:"ok"`
	Asked    int       `json:"asked"` // requests that were judged
	Failures []Failure `json:"failures"`
}

// Failure is one line after which something else came back than stands there.
type Failure struct {
	Line  int        `json:"line"` // of the first expectation that failed
	Said  string     `json:"said"` // the line that it is about
	Diff  []Diff     `json:"diff"`
	Trace []acl.Step `json:"trace,omitempty"` // of the decision
}

// Diff is one expectation that failed.
type Diff struct {
	Line int    `json:"line"`
	Want string `json:"want"` // as it stands there; empty: the case can't go on
	Got  string `json:"got"`  // as it would have been right, or why it can't
}

// Play plays every case of a file, one after the other. The error is one of this machine, or the end of ctx.
func (f *File) Play(ctx context.Context) (Result, error) {
	var world world
	r := Result{File: f.Name, OK: true, Cases: []CaseResult{}}
	for i := range f.Cases {
		c, err := f.Cases[i].play(ctx, &world)
		if err != nil {
			err = fmt.Errorf("%s:%d: case %s: %w", f.Name, f.Cases[i].Line, f.Cases[i].Name, err)
			return r, errors.Join(err, world.Close())
		}
		r.OK = r.OK && c.OK
		r.Cases = append(r.Cases, c)
	}
	return r, world.Close()
}

// player plays one case.
type player struct {
	*site
	of     *Case
	result CaseResult
	users  map[string]uint32
	names  map[uint32]string
	live   *session // nil: there is no connection
	last   *session // the one before
	over   string   // why there is none
}

func (c *Case) play(ctx context.Context, world *world) (CaseResult, error) {
	s, err := c.site(ctx, world)
	if err != nil {
		return CaseResult{}, err
	}
	p := player{site: s, of: c, users: map[string]uint32{"exim": eximUID}, names: map[uint32]string{eximUID: "exim"},
		result: CaseResult{Name: c.Name, Line: c.Line, Failures: []Failure{}}}
	for i := range c.steps {
		if ctx.Err() != nil {
			break
		}
		p.step(ctx, &c.steps[i])
	}
	return p.end(ctx.Err()) // what was cut short is no result, not even of the last step
}

// end closes the site and returns what came of the case.
func (p *player) end(err error) (CaseResult, error) {
	for _, fault := range p.faults {
		p.fail(Failure{Line: p.of.Line, Said: p.of.Name, Diff: []Diff{{Line: p.of.Line, Got: fault}}})
	}
	p.result.OK = len(p.result.Failures) == 0
	return p.result, errors.Join(err, p.Close())
}

func (p *player) step(ctx context.Context, st *step) {
	switch {
	case st.wait > 0:
		p.now = p.now.Add(st.wait)
	case st.verb == nil && !st.reconnect:
		p.now = st.until
	case st.reconnect:
		if d, done := p.again(ctx); done {
			p.compare(st, &d)
		}
	default:
		p.say(ctx, st)
	}
}

// say says a line as often as it wants.
func (p *player) say(ctx context.Context, st *step) {
	var d acl.Decision
	for range st.times {
		if ctx.Err() != nil {
			return
		}
		if !st.verb.alone && p.live == nil {
			p.fail(Failure{Line: st.line, Said: st.String(), Diff: []Diff{{Line: st.line, Got: "there is no connection: " + p.over}}})
			return
		}
		if st.verb.stage == policy.NoStage {
			p.live.unasked(st)
			continue
		}
		d = p.ask(ctx, st)
	}
	if st.verb.stage != policy.NoStage {
		p.compare(st, &d)
	}
}

// ask has one line judged.
func (p *player) ask(ctx context.Context, st *step) acl.Decision {
	s := p.live
	if st.verb.alone {
		s = &session{talk: acl.Conversation{Settings: &p.settings, Exim: eximUID, Account: p.account}}
		if name := st.user(); name != "" {
			s.talk.Owner = policy.Known(p.uid(name))
		}
	}
	s.before(st)
	w := s.request(p.of, st)
	if st.verb.stage == policy.NotSMTP && s.talk.Owner.Known {
		w.set(acl.Pair{Name: "uid", Value: strconv.FormatUint(uint64(s.talk.Owner.Value), 10)})
	}
	q, err := acl.NewRequest(w)
	if err != nil { // each word was looked at when it was read
		p.faults = append(p.faults, err.Error())
		return acl.Decision{}
	}
	limited, stop := context.WithTimeout(ctx, decideTime)
	defer stop()
	d := s.talk.Decide(limited, q, p.now, true)
	p.result.Asked++
	if st.verb.stage == policy.NotSMTP {
		return d
	}
	p.live, p.last = s, s
	if !s.after(st, &d) {
		if st.verb.stage > policy.Connect && st.verb.stage < policy.Quit { // Exim drops it, and asks once more
			p.ask(ctx, &step{line: st.line, verb: verbNamed("NOTQUIT"), bare: true, words: words{{Name: "notquit_reason", Value: "acl-drop"}}})
		}
		p.live, p.over = nil, "it ended at line "+strconv.Itoa(st.line)
	}
	return d
}

// again ends the connection, if there is one, and begins another one like it. It stops where that is refused.
func (p *player) again(ctx context.Context) (d acl.Decision, done bool) {
	last := p.last
	if last == nil {
		return d, false
	}
	if p.live != nil {
		p.ask(ctx, &step{verb: verbNamed("QUIT"), bare: true, line: last.connect.line})
	}
	d = p.ask(ctx, last.connect)
	if p.live != nil && last.greeting != nil && d.Action <= policy.Delay {
		d = p.ask(ctx, last.greeting)
	}
	p.last.greeting = last.greeting // a connection that is refused does not come to it, and the next one may
	return d, true
}

// uid returns the uid of a user: the number that he is called by, or one of his own.
func (p *player) uid(name string) uint32 {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n)
	}
	id, known := p.users[name]
	if !known {
		id = firstUID + uint32(len(p.users))
		p.users[name], p.names[id] = id, name
	}
	return id
}

// account returns the name of a user.
func (p *player) account(uid uint32) (string, bool) {
	name, ok := p.names[uid]
	return name, ok
}

// compare holds a decision against what is expected of it.
func (p *player) compare(st *step, d *acl.Decision) {
	f := Failure{Said: st.String(), Trace: d.Trace}
	for i := range st.wants {
		w := &st.wants[i]
		if right, same := w.compare(d); !same {
			f.Diff = append(f.Diff, Diff{w.line, w.String(), right.String()})
		}
	}
	if len(f.Diff) > 0 {
		f.Line = f.Diff[0].Line
		p.fail(f)
	}
}

func (p *player) fail(f Failure) { p.result.Failures = append(p.result.Failures, f) }
