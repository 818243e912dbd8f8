package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childOf names, in the environment, what a second process of this test binary does instead of testing.
const childOf = "EXIMPOLICYD_LEDGER_CHILD"

func TestMain(m *testing.M) {
	children := map[string]func() error{"killed": killedChild, "full": fullChild, "readonly": readOnlyChild, "fsync": fsyncChild}
	if child := children[os.Getenv(childOf)]; child != nil {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// open opens an engine that the test closes.
func open(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// soon is a context that ends long after whatever should have happened.
func soon(t testing.TB) context.Context {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(stop)
	return ctx
}

func bg() context.Context { return context.Background() }

// offence is against the network of one address, or another.
func offence(network string, enforced bool) Offence {
	return Offence{Network: prefix(network), Enforced: enforced, Rule: "dictionary.window", Because: "20 recipients do not exist"}
}

func prefix(text string) netip.Prefix {
	if strings.Contains(text, "/") {
		return netip.MustParsePrefix(text)
	}
	a := netip.MustParseAddr(text)
	return netip.PrefixFrom(a, a.BitLen())
}

// offend bans and wants it to be a new ban.
func offend(t testing.TB, e *Engine, o Offence) Ban {
	t.Helper()
	b, made, err := e.Offend(soon(t), o)
	if err != nil || !made {
		t.Fatalf("%s: %+v, made %t, %v", o.Network, b, made, err)
	}
	return b
}

func standing(t testing.TB, e *Engine, addr string) Standing {
	t.Helper()
	s, err := e.Standing(t.Context(), netip.MustParseAddr(addr))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hands is a clock that is set by hand.
type hands struct {
	mu     sync.Mutex
	wall   time.Time
	steady time.Duration
}

func newHands() *hands { return &hands{wall: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }

func (h *hands) read() (time.Time, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wall, h.steady
}

// pass lets time pass, set sets the wall clock, and boot begins the steady clock anew.
func (h *hands) pass(d time.Duration) { h.move(d, d) }
func (h *hands) set(by time.Duration) { h.move(by, 0) }
func (h *hands) boot()                { h.move(0, 7*time.Second-h.steady) }

func (h *hands) move(wall, steady time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall, h.steady = h.wall.Add(wall), h.steady+steady
}

// lines is a log for tests.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) log() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
