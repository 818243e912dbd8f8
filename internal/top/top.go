// Package top is the live view of a running daemon: what it decides, which rules find something, how the block lists do, who
// is banned and who comes most.
//
// Once an interval it asks over the administrator's socket for the counters of status, the last decisions and the bans.
// Rates are differences of two counters, so that they are right however many decisions were not shown. What it has seen it
// keeps in memory, bounded, until it ends; what an administrator has forgotten meanwhile goes if it is among the last 64.
//
// Much of what it shows was chosen by clients. There is one way onto the screen, fit, behind which all is printable ASCII.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Bounds of how often a daemon is asked.
const (
	Shortest = 200 * time.Millisecond
	Longest  = time.Hour
)

// Options are what a view needs. Poll is called by one goroutine at a time.
type Options struct {
	Poll     func() (Snapshot, error)
	Interval time.Duration // between an answer and the next question
	Colour   bool
}

// Run shows the view on the terminal of this process until q is pressed or a signal ends it. first is shown until there
// is more.
func Run(o Options, first Snapshot) error {
	m := model{options: o}
	m.seen = m.seen.add(first)
	hungUp, stop := signal.NotifyContext(context.Background(), syscall.SIGHUP) // the library gives back the terminal at others only
	defer stop()
	_, err := tea.NewProgram(m, tea.WithContext(hungUp)).Run()
	if errors.Is(err, tea.ErrInterrupted) || hungUp.Err() != nil {
		return nil
	}
	return err
}

// Print writes a snapshot as text in so many columns, with what was counted since the daemon was started.
func Print(w io.Writer, s Snapshot, columns int) error {
	p := page{seen: seen{}.add(s), width: columns}
	lines := append(p.header(), "")
	lines = append(lines, p.stages()...)
	for i := range panels {
		title, body := p.panel(i, printed)
		lines = append(lines, "", p.line(title...))
		for _, r := range body[:min(len(body), printed)] {
			lines = append(lines, p.line(r...))
		}
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// printed is how many lines of a panel are, at most: all lists and rules, and some of the networks and decisions.
const printed = 100
