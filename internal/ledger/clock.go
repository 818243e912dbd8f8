package ledger

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of what is believed of clocks.
const (
	longestPause = 30 * 24 * time.Hour // that we can have been down: then every ban is forgotten or over anyway
	step         = 2 * time.Second     // a wall clock that has moved by more was set, not steered
)

// clock is the time of an engine, the steady time: it begins where the one before ended and goes on with a clock that
// nobody sets and that counts while the machine sleeps. How far the wall clock is from it is looked at now and then; it is
// only for display, and for how long the engine was down.
type clock struct {
	read  func() (wall time.Time, steady time.Duration)
	base  time.Time // steady time at start
	start time.Duration

	mu    sync.Mutex
	ahead time.Duration // of the wall clock, as it was seen last
	steps int
}

// moment is a point of the steady time and what the wall clock said then.
type moment struct {
	Steady time.Time `json:"steady"`
	Wall   time.Time `json:"wall"`
}

// bootClock reads the wall clock, and the time since the machine was started, sleep included. The kernel is asked once a
// second; in between Go's own clock, which asks it for nothing and only stops while the machine sleeps, tells what has
// passed.
type bootClock struct {
	start time.Time
	asked atomic.Int64 // when, by Go's clock since start, in nanoseconds
	ahead atomic.Int64 // of Go's clock since start
}

const bootAgain = time.Second

func newBootClock() *bootClock {
	b := &bootClock{start: time.Now()}
	b.ask(0)
	return b
}

func (b *bootClock) read() (wall time.Time, steady time.Duration) {
	wall = time.Now()
	passed := wall.Sub(b.start)
	if passed-time.Duration(b.asked.Load()) >= bootAgain {
		b.ask(passed)
	}
	return wall, passed + time.Duration(b.ahead.Load())
}

func (b *bootClock) ask(passed time.Duration) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err == nil { // no Linux since 2.6.39 says no
		b.ahead.Store(ts.Nano() - int64(passed))
	}
	b.asked.Store(int64(passed))
}

// newClock goes on from the last moment that is known, or begins with the wall clock.
func newClock(read func() (time.Time, time.Duration), last moment) *clock {
	wall, steady := read()
	c := &clock{read: read, base: plain(wall), start: steady}
	if !last.Steady.IsZero() {
		c.base = last.after(wall)
	}
	c.ahead = plain(wall).Sub(c.base)
	return c
}

// after returns the steady time at a later time of the wall clock, which may have been set meanwhile.
func (m moment) after(wall time.Time) time.Time {
	return m.Steady.Add(min(max(plain(wall).Sub(m.Wall), 0), longestPause))
}

// plain returns a time that is stored as it is: of no zone, and without the reading of Go's own clock, by which times
// would be compared.
func plain(t time.Time) time.Time { return t.Round(0).UTC() }

func (c *clock) now() time.Time {
	_, steady := c.read()
	return c.base.Add(steady - c.start)
}

// since returns how much later a moment of another clock is by this one.
func (c *clock) since(m moment) time.Duration {
	wall, steady := c.read()
	if m.Steady.IsZero() {
		return 0
	}
	return c.base.Add(steady - c.start).Sub(m.after(wall))
}

// look compares both clocks, and returns by how much the wall clock was set since the last look.
func (c *clock) look() (m moment, set time.Duration) {
	wall, steady := c.read()
	m = moment{Steady: c.base.Add(steady - c.start), Wall: plain(wall)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if moved := m.Wall.Sub(m.Steady) - c.ahead; moved.Abs() > step {
		c.ahead += moved
		c.steps++
		set = moved
	}
	return m, set
}

// lead returns how far the wall clock is ahead, and how often it was set. It is the same until the clock is set, so that
// a time is always shown as the same.
func (c *clock) lead() (ahead time.Duration, steps int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead, c.steps
}

// both returns the steady time, and how far the wall clock is ahead of it now, which is what lead says unless it has been
// set since.
func (c *clock) both() (now time.Time, ahead time.Duration) {
	wall, steady := c.read()
	now = c.base.Add(steady - c.start)
	ahead, _ = c.lead()
	if seen := time.Duration(wall.UnixNano() - now.UnixNano()); (seen - ahead).Abs() > step {
		ahead = seen
	}
	return now, ahead
}
