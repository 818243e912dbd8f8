package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
)

func TestOneOfAThingIsNamedInTheSingular(t *testing.T) {
	reasons := &control.Reasons{Counts: []ledger.Counted{{Counts: ledger.Counts{
		Hour: ledger.Hour{Good: 1, Bad: 1, OnlyBad: 1, Failed: 1, Held: 1, Seen: 1}, Day: ledger.Day{Good: 1, Bad: 1, Trapped: 1, Clean: 1},
	}}}}
	var b bytes.Buffer
	if err := printReasons(&b, reasons, time.Now()); err != nil {
		t.Fatal(err)
	}
	said := strings.Join(strings.Fields(b.String()), " ") + besides(&acl.Stats{Refused: 1})
	for _, want := range []string{
		"last hour: 1 good recipient, 1 bad recipient, 1 connection with only bad ones, 1 failed login, 1 message held, 1 different member or name",
		"last day: 1 good recipient, 1 bad recipient, 1 message to traps, 1 clean message",
		"1 caller refused",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in %s", want, said)
		}
	}
}
