package origin

import (
	"testing"
)

func TestStateNames(t *testing.T) {
	for s, want := range map[State]string{
		0: "unknown", Established: "ESTABLISHED", 6: "TIME-WAIT", 8: "CLOSE-WAIT", 10: "LISTEN", 12: "NEW-SYN-RECEIVED", 99: "state 99",
	} {
		if got := s.String(); got != want {
			t.Errorf("State(%d) is %q, want %q", uint8(s), got, want)
		}
	}
	seen := map[string]State{}
	for s := State(0); s <= BoundInactive; s++ {
		if other, again := seen[s.String()]; again {
			t.Errorf("%d and %d are both %q", s, other, s)
		}
		seen[s.String()] = s
		if live, want := (Socket{Inode: 1, State: s}).Live(), s == 1 || s == 8; live != want {
			t.Errorf("a socket in %v: Live = %t", s, live)
		}
		if (Socket{Inode: 0, State: s}).Live() {
			t.Errorf("a socket of nobody in %v is live", s)
		}
	}
}
