package report

import "slices"

// greet has the client greet with its name.
func (j *judge) greet(c *course) {
	j.ask.greet()
	if j.ask.HELO.Known {
		j.early(c, j.ask.helo())
	}
}

// tells takes what the log tells of the client beside what it did: in one connection it may have greeted anew or logged in
// meanwhile, and behind one address there may be others.
func (j *judge) tells(c *course) {
	helo, as, judged := c.said(c.next)
	if !judged {
		return
	}
	c.who.logsIn(as)
	if helo != c.who.name {
		c.who.mailed = false
		c.who.greets(helo)
		if c.oneDialogue() {
			j.greet(c)
			return
		}
	}
	j.ask.greet()
}

// said returns what the log tells of the client beside an act, its greeting and as whom it is logged in, and whether the act is
// judged by them.
func (c *course) said(n int) (helo, as string, judged bool) {
	switch a := &c.acts[n]; a.what {
	case rcpt:
		r := &c.Rcpts[a.n]
		return r.HELO, r.Auth, true
	case message:
		m := &c.Messages[a.n]
		return m.HELO, m.Auth, true
	case login: // of nobody known, where it is judged at once
		return c.who.name, "", !c.sure()
	}
	return c.who.name, c.Login, true // at the end
}

// first returns the greeting of the first recipient or message, or else the last that the log has.
func (c *course) first() string {
	for n := range c.acts {
		if what := c.acts[n].what; what == rcpt || what == message {
			helo, _, _ := c.said(n)
			return helo
		}
	}
	return c.HELO()
}

// before returns the greetings that came before one.
func (c *course) before(name string) []string {
	if n := slices.Index(c.HELOs, name); n >= 0 {
		return c.HELOs[:n]
	}
	return nil
}
