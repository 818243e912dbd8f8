package acl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// roleVar makes this test binary a child process with a role of its own.
const roleVar = "EXIMPOLICYD_ACL_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVar); role {
	case "":
		goleak.VerifyTestMain(m)
	case "starved":
		if err := starved(os.Getenv(socketVar)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "no such role:", role)
		os.Exit(2)
	}
}

// noon is when the tests take place.
var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// ask makes a request of "name=value" words as a person types them.
func ask(t testing.TB, words ...string) *policy.Request {
	t.Helper()
	q, err := NewRequest(pairsOf(words...))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// rcpt is a request at RCPT of an ordinary client, with changes.
func rcpt(t testing.TB, words ...string) *policy.Request {
	t.Helper()
	return ask(t, overlay(ordinary, words...)...)
}

// ordinary is what nobody objects to.
var ordinary = []string{
	"protocol_state=RCPT", "client_address=203.0.113.7", "client_port=4321", "server_address=192.0.2.2", "server_port=25",
	"primary_hostname=mx.example.org", "server_name=mx.example.org", "helo_name=mail.example.com", "uid=103", "protocol_name=esmtp",
	"sender=alice@example.com", "recipient=bob@example.org", "rcpt_verify=ok", "rcpt_count=1", "recipient_count=0",
}

// overlay replaces the words of the same names; a word without = removes its name.
func overlay(base []string, words ...string) []string {
	name := func(w string) string {
		for i := range w {
			if w[i] == '=' {
				return w[:i]
			}
		}
		return w
	}
	var out []string
	for _, b := range base {
		keep := true
		for _, w := range words {
			keep = keep && name(w) != name(b)
		}
		if keep {
			out = append(out, b)
		}
	}
	for _, w := range words {
		if name(w) != w {
			out = append(out, w)
		}
	}
	return out
}

func pairsOf(words ...string) []Pair {
	var pairs []Pair
	for _, w := range words {
		for i := range w {
			if w[i] == '=' {
				pairs = append(pairs, Pair{w[:i], w[i+1:]})
				break
			}
		}
	}
	return pairs
}

// wire is a request as the snippet writes it.
func wire(words ...string) string { return string(AppendRequest(nil, pairsOf(words...))) }

// facts is a provider that fills what it is given, and remembers what it was asked for.
type facts struct {
	fill     func(*policy.Facts)
	unproven bool
	wait     func(context.Context, policy.Need)
	late     policy.Need // what comes too late
	asked    policy.Need
	started  policy.Need
	recall   *Recall
}

func (p *facts) Gather(ctx context.Context, needs policy.Need, q *policy.Request, f *policy.Facts) policy.Need {
	p.asked |= needs
	if p.wait != nil {
		p.wait(ctx, needs)
	}
	if p.fill != nil {
		p.fill(f)
	}
	return needs & p.late
}

func (p *facts) Start(needs policy.Need, q *policy.Request, f *policy.Facts) { p.started |= needs }

func (p *facts) Proven() bool { return !p.unproven }

func (p *facts) Recall() *Recall { return p.recall }

// table binds the real rules.
func table(most, mode policy.Mode, preset policy.Preset) []policy.Bound {
	setups := map[string]policy.Setup{}
	for _, p := range policy.Table() {
		setups[p.Name] = policy.Setup{Mode: policy.Known(mode), Preset: preset}
	}
	return policy.Bind(policy.Table(), setups, most)
}

// deciderOf makes a decider of rules.
func deciderOf(rules ...policy.Bound) *Decider {
	return &Decider{Rules: rules, Own: &policy.Own{}, Exempt: &policy.Exempt{SubmissionPorts: []int{465, 587}}, Mode: policy.Enforce}
}

func prefixes(list ...string) *policy.Prefixes {
	p := &policy.Prefixes{}
	for _, s := range list {
		p.Add(netip.MustParsePrefix(s))
	}
	return p
}

// kernel is a prover with a made-up world.
type kernel struct {
	mu      sync.Mutex
	sockets map[[2]netip.AddrPort]origin.Socket
	started map[int32]uint64
	broken  error
	exec    map[int32]bool // those that were started, and not forked
}

// exim is a process of Exim's.
func exim(pid int32) origin.Peer { return origin.Peer{PID: pid, UID: 103} }

var errGone = errors.New("no such process")

func (k *kernel) Find(local, remote netip.AddrPort) (origin.Socket, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.sockets[[2]netip.AddrPort{local, remote}]
	return s, ok && k.broken == nil, k.broken
}

func (k *kernel) Started(pid int32) (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.started[pid]; ok {
		return s, nil
	}
	return 0, errGone
}

func (k *kernel) Forked(pid int32) (bool, error) {
	if _, ok := k.started[pid]; !ok {
		return true, errGone
	}
	return !k.exec[pid], nil
}

// nowhere is a prover that believes nothing and knows every process.
type nowhere struct{}

func (nowhere) Find(_, _ netip.AddrPort) (origin.Socket, bool, error) {
	return origin.Socket{}, false, nil
}
func (nowhere) Started(int32) (uint64, error) { return 1, nil }
func (nowhere) Forked(int32) (bool, error)    { return true, nil }

// everywhere is a prover that believes everything.
type everywhere struct{ nowhere }

func (everywhere) Find(_, _ netip.AddrPort) (origin.Socket, bool, error) {
	return origin.Socket{UID: 103, Inode: 7, State: origin.Established}, true, nil
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
