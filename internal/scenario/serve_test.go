package scenario

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/acl"
	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// door is a server as serve has it, on the same site as a case.
type door struct {
	t      *testing.T
	socket string
	stop   context.CancelFunc
	runs   sync.WaitGroup
}

func opened(t *testing.T, s *site) *door {
	t.Helper()
	dir, err := os.MkdirTemp("", "ep") // a Unix socket's path has at most 107 octets
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t, socket: filepath.Join(dir, "s")}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: d.socket})
	if err != nil {
		t.Fatal(err)
	}
	settings := s.settings
	settings.Peers = map[uint32]bool{uint32(os.Getuid()): true}
	settings.Log = slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(t.Context())
	d.stop = stop
	srv := acl.NewServer(d.socket, 0, unasked{}, &settings)
	d.runs.Go(func() { srv.Serve(ctx, l) })
	t.Cleanup(func() { stop(); d.runs.Wait(); os.RemoveAll(dir) })
	return d
}

// ask sends one request and returns the fields of the reply.
func (d *door) ask(pairs []acl.Pair) map[string]string {
	d.t.Helper()
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(acl.AppendRequest(nil, pairs)); err != nil {
		d.t.Fatal(err)
	}
	line, err := io.ReadAll(c)
	if err != nil {
		d.t.Fatal(err)
	}
	return fieldsOfReply(d.t, line)
}

// fieldsOfReply reads a reply. Only serve has a budget, so that a name that does not answer makes it degraded.
func fieldsOfReply(t *testing.T, line []byte) map[string]string {
	t.Helper()
	list, err := acl.ParseReply(string(line))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for _, f := range list {
		fields[f.Name] = f.Value
	}
	delete(fields, "degraded")
	return fields
}

// What a scenario is told is what Exim would be told: the same sessions, request by request, over the socket of serve.
func TestAScenarioIsDecidedAsServeDecides(t *testing.T) {
	asked, refused := 0, 0
	for path, text := range examples(t) {
		for _, c := range parsed(t, path, text).Cases {
			if !atOnce(&c) {
				continue
			}
			var world world
			ours, err := c.site(t.Context(), &world)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := c.site(t.Context(), &world)
			if err != nil {
				t.Fatal(err)
			}
			d := opened(t, theirs)
			var s *session
			for i := range c.steps {
				st := &c.steps[i]
				for range st.times {
					if st.verb.stage == policy.Connect {
						s = &session{talk: acl.Conversation{Settings: &ours.settings, Exim: eximUID}}
						s.connection.set(count("client_port", 40000+i))
					}
					if st.verb.stage == policy.NoStage {
						s.unasked(st)
						continue
					}
					s.before(st)
					w := s.request(&c, st)
					q, err := acl.NewRequest(w)
					if err != nil {
						t.Fatal(err)
					}
					want := s.talk.Decide(t.Context(), q, ours.now, false)
					s.after(st, &want)
					serve := d.ask(w)
					want.ID = serve["id"]
					reply := want.Reply(q)
					if diff := cmp.Diff(serve, fieldsOfReply(t, reply.Append(nil))); diff != "" {
						t.Errorf("%s:%d: serve - and the scenario +\n%s", path, st.line, diff)
					}
					if asked++; want.Action != policy.Dunno {
						refused++
					}
				}
			}
			d.stop()
			d.runs.Wait()
			for _, s := range []io.Closer{ours, theirs, &world} {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if asked < 500 || refused < 10 {
		t.Errorf("only %d requests, %d of them refused", asked, refused)
	}
	t.Logf("FIGURE scenario beside serve: %s requests, %s refused, 0 differences wanted", strconv.Itoa(asked), strconv.Itoa(refused))
}

// atOnce reports whether no time passes in a case, and nothing of it is this machine's.
func atOnce(c *Case) bool {
	for i := range c.steps {
		if st := &c.steps[i]; st.verb == nil || st.verb.stage == policy.NotSMTP || st.user() != "" {
			return false
		}
	}
	return true
}

// unasked is a prover that finds nothing: without Prove every connection counts.
type unasked struct{}

func (unasked) Find(_, _ netip.AddrPort) (s origin.Socket, found bool, err error) {
	return s, false, nil
}
func (unasked) Started(int32) (uint64, error) { return 1, nil }
func (unasked) Forked(int32) (bool, error)    { return true, nil }
