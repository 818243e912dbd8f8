package prose

import "testing"

func TestANumberIsWrittenWithItsWord(t *testing.T) {
	for _, c := range []struct {
		n           int
		thing, want string
	}{
		{1, "entry", "1 entry"}, {0, "entry", "0 entries"}, {2, "try", "2 tries"}, {2, "key", "2 keys"}, {2, "day", "2 days"},
		{1, "guess", "1 guess"}, {2, "guess", "2 guesses"}, {2, "address", "2 addresses"}, {2, "box", "2 boxes"}, {2, "match", "2 matches"},
		{1, "allowed network", "1 allowed network"}, {0, "allowed network", "0 allowed networks"}, {-1, "line", "-1 lines"},
	} {
		if got := Many(c.n, c.thing); got != c.want {
			t.Errorf("%d, %q: %q, want %q", c.n, c.thing, got, c.want)
		}
	}
	if got := Many(uint64(1), "line") + Form(uint64(1), " is", " are") + Form(uint64(2), " is", " are"); got != "1 line is are" {
		t.Error(got)
	}
}
