package test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"eximpolicyd/test/rig"
)

// frontOf starts a front that is what the site of the letters is.
func frontOf(t *testing.T, config string, flags ...string) *rig.Front {
	t.Helper()
	f, err := rig.ServeFront(binary(t), t.TempDir(), config, append([]string{"--domain", rig.Domain, "--port", "0", "--proxy-wait", "20s"}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("eximpolicyd smtp:\n%s", tail(f.Log()))
		}
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// sameInFront brings letters to a front, and holds that each is decided there as in Exim.
func sameInFront(t *testing.T, what, config string, letters []letter, inExim []letterVerdict, speak func(*letter, addressed, int) (smtpAnswer, error), flags ...string) {
	t.Helper()
	begun := time.Now()
	f := frontOf(t, config, flags...)
	heard := sendLetters(t, letters, func(l *letter, port int) (smtpAnswer, error) { return speak(l, f, port) })
	got := verdictsInExim(t, f.Daemon, letters)
	same := 0
	for i := range letters {
		if diff := cmp.Diff(inExim[i], got[i], cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s: Exim (-) and the front (+) differ:\n%s", what, letters[i].name, diff)
			continue
		}
		same++
	}
	for reason, n := range toldClients(t, letters, got, heard) {
		t.Errorf("%s: the front itself refused %d mails: %s", what, n, reason)
	}
	if strings.Contains(f.Log(), "panic") {
		t.Errorf("%s: %s", what, tail(f.Log()))
	}
	t.Logf("FIGURE %s: %d of %d mails have the same action, rules, score and mark in the front as in Exim, within %.1f s",
		what, same, len(letters), time.Since(begun).Seconds())
}
