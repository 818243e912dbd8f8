package control

import (
	"bufio"
	"context"
	"time"

	"eximpolicyd/internal/ledger"
)

// Bounds of what the daemon does for an administrator.
const (
	saving    = 3 * time.Second // until a change is on the disk, or is told not to be: a busy disk takes one
	importing = time.Minute     // until an import is
)

// do does what is asked. The reply may have lines before it.
func (s *Server) do(ctx context.Context, q *Request, in *bufio.Reader, t *talk) (any, error) {
	switch q.Request {
	case Lists:
		return s.Lists(), nil
	case Stands:
		return s.Stands(), nil
	case Spares:
		return s.spares(t)
	case Explain:
		return s.explain(q.ID), nil
	case Recent:
		return s.recent(q.Last, t)
	case Whose, Rekey:
		return s.stamps(q)
	case Bans, Bar, Unban, Allows, Allow, Disallow, Why, Forget, Export, Import:
	default:
		return nil, refuse(Wrong, "no such request: %q", q.Request)
	}
	if s.Memory == nil {
		return nil, refuse(Failed, "this daemon has no memory across connections")
	}
	if err := q.check(); err != nil {
		return nil, refuse(Wrong, "%w", err)
	}
	if q.Request == Export || q.Request == Import {
		if !s.long.TryLock() {
			return nil, refuse(Busy, "another export or import is under way")
		}
		defer s.long.Unlock()
	}
	m := told{s.Memory, s.Refuses, s.Memory.Now(), s.Decisions, s.Stamps}
	if q.Request == Import {
		ctx, stop := context.WithTimeout(ctx, importing)
		defer stop()
		return s.take(ctx, &body{in, q.Size})
	}
	ctx, stop := inHalves(ctx, saving)
	defer stop()
	return m.do(ctx, q, t)
}

// inHalves ends a context after a time, whose second half begins when the first is over: a machine that stood still through
// one has the other left.
func inHalves(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	half := time.AfterFunc(d/2, func() { time.AfterFunc(d/2, stop) })
	return ctx, func() {
		half.Stop()
		stop()
	}
}

// spares says the networks that no firewall should shut out.
func (s *Server) spares(t *talk) (any, error) {
	for _, p := range s.Spared() {
		if err := t.line(p.Masked()); err != nil {
			return nil, err
		}
	}
	return t.sum(), nil
}

// check says what is wrong with a request of the memory.
func (q *Request) check() error {
	switch q.Request {
	case Bar, Allow:
		if err := CheckReason(q.Because); err != nil {
			return err
		}
		if err := check(q.Network); err != nil || q.Wide {
			return err
		}
		return CheckWide(q.Network)
	case Unban, Disallow, Why:
		return check(q.Network)
	case Forget:
		if q.Account == "" {
			return check(q.Network)
		}
	case Import:
		if q.Size < 0 || q.Size > ledger.MaxImport {
			return refuse(Wrong, "an import has at most %d octets, not %d", ledger.MaxImport, q.Size)
		}
	}
	return nil
}

func (m told) do(ctx context.Context, q *Request, t *talk) (any, error) {
	switch q.Request {
	case Bans:
		return m.bans(t, q.All)
	case Bar:
		return m.bar(ctx, q)
	case Unban:
		return m.lift(ctx, q.Network)
	case Allows:
		return m.allows(t)
	case Allow:
		return m.allow(ctx, q)
	case Disallow:
		return m.disallow(ctx, q.Network)
	case Forget:
		return m.forget(ctx, q)
	case Export:
		return m.export(t)
	}
	return m.why(q.Network), nil
}

// take imports what comes.
func (s *Server) take(ctx context.Context, b *body) (any, error) {
	done, err := s.Memory.Import(ctx, b)
	r := Taken{Imported: done}
	if err = r.only(err); err != nil {
		return nil, refuse(Wrong, "%w", err)
	}
	return r, nil
}
