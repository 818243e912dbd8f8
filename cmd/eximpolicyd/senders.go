package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// mostLooks is how many look at processes at once. A message that finds no room waits as long as it may.
const mostLooks = 16

// senders looks at the processes of this machine: through the helper where one is installed, else with our own rights.
//
// A read of /proc can hang in the kernel, which no time-out ends: the arguments of a process lie in its memory, which may be
// locked for as long as it waits for a dead disk. So each look has a goroutine of its own, and who asked goes on without it. One
// that hangs keeps its place until the kernel lets go; when all do, no program is known any more, and nothing else is lost.
type senders struct {
	look   origin.Looker
	log    func() *slog.Logger
	looks  chan struct{} // places taken
	failed atomic.Bool   // a look failed on a mistake of ours, which was told
}

func newSenders(look origin.Looker, log func() *slog.Logger) *senders {
	return &senders{look: look, log: log, looks: make(chan struct{}, mostLooks)}
}

// Program returns the program behind an Exim process, or none when ctx ends.
func (s *senders) Program(ctx context.Context, pid int32, uid uint32) policy.Program {
	select {
	case s.looks <- struct{}{}:
	case <-ctx.Done():
		return policy.Program{}
	}
	found := make(chan policy.Program, 1)
	go func() { // nobody waits for longer than ctx; it ends when the kernel has answered
		defer func() { <-s.looks }()
		found <- s.program(ctx, pid, uid)
	}()
	select {
	case p := <-found:
		return p
	case <-ctx.Done():
		return policy.Program{}
	}
}

// program looks. What processes call themselves is anybody's word: a mistake of ours in reading it costs the answer, and not the
// daemon.
func (s *senders) program(ctx context.Context, pid int32, uid uint32) (p policy.Program) {
	defer func() {
		if cause := recover(); cause != nil && !s.failed.Swap(true) {
			s.log().Error("failed on a look at who sent a message; please report this", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
	}()
	script, args := origin.Sender(origin.Chain(ctx, s.look, pid, uid))
	return policy.Program{Name: script, Args: args}
}
