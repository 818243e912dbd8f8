package acl

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTheEndOfARequest feeds fill piece by piece, as no socket promises to.
func TestTheEndOfARequest(t *testing.T) {
	long := strings.Repeat("a=b\n", 3000)
	for _, c := range []struct {
		name   string
		pieces []string
		done   bool // with the last piece, never before
	}{
		{"in one piece", []string{"a=b\n\n"}, true},
		{"between the two line ends", []string{"a=b\n", "\n"}, true},
		{"octet by octet", strings.Split("a=b\n\n", ""), true},
		{"two empty lines alone", []string{"\n", "\n"}, true},
		{"no end", []string{"a=b\n", "c=d\n"}, false},
		{"behind more than a buffer", []string{long, long, "\n"}, true},
		{"a buffer that is full at the line end", []string{strings.Repeat("a", 4095) + "\n", "\n"}, true},
		{"the bound", []string{strings.Repeat("a", 40_000), strings.Repeat("a", MaxRequest-40_000), "a"}, true},
	} {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 0, 4<<10)
		for i, piece := range c.pieces {
			if n, err := unix.Write(fds[1], []byte(piece)); n != len(piece) {
				t.Fatal(n, err)
			}
			done, err := fill(fds[0], &b)
			if want := c.done && i == len(c.pieces)-1; done != want || err != nil {
				t.Errorf("%s, piece %d: done %v, %v", c.name, i, done, err)
			}
		}
		if string(b) != strings.Join(c.pieces, "") {
			t.Errorf("%s: %d octets of %d", c.name, len(b), len(strings.Join(c.pieces, "")))
		}
		unix.Close(fds[1])
		if done, err := fill(fds[0], &b); !done || err != nil {
			t.Errorf("%s, end of file: done %v, %v", c.name, done, err)
		}
		unix.Close(fds[0])
	}
}
