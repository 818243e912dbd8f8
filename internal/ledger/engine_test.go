package ledger

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

func TestABanIsOnTheDiskAndThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	made, is, err := e.Offend(ctx, Offence{Network: netip.MustParsePrefix("192.0.2.1/32"), Enforced: true, Rule: "dictionary.window", Because: "20 bad"})
	if err != nil || !is || !made.Durable {
		t.Fatal(made, is, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e, err = Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := e.Standing(ctx, netip.MustParseAddr("192.0.2.1"))
	if err != nil || s.Enforced == nil || *s.Enforced != made {
		t.Fatalf("%+v, %v; made %+v", s, err, made)
	}
}
