package origin

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzAnswer: no octets from the kernel are a crash, and what we can write as a question we read back as an answer.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{}, uint16(25), uint16(40000))
	for _, family := range []byte{0, unix.AF_INET, unix.AF_INET6} {
		b := make([]byte, answerSize) // of inode 0, which the kernel says of a TIME_WAIT
		b[0] = family
		f.Add(b, uint16(0), uint16(65535))
	}
	f.Fuzz(func(t *testing.T, b []byte, sport, dport uint16) {
		if s, l, r, err := answer(b); err == nil && (!l.IsValid() || !r.IsValid() || s.Inode == 0 && s.UID != NoUID) {
			t.Errorf("answer(%x) = %+v, %v, %v", b, s, l, r)
		}
		for _, pair := range [][2]string{{"192.0.2.1", "203.0.113.9"}, {"2001:db8::1", "2001:db8::2"}} {
			local := netip.AddrPortFrom(netip.MustParseAddr(pair[0]), sport)
			remote := netip.AddrPortFrom(netip.MustParseAddr(pair[1]), dport)
			q := request(local, remote)
			a := make([]byte, answerSize)
			a[0], a[1] = q[0], byte(Listen)
			copy(a[answerSockid:], q[requestSockid:])
			if _, l, r, err := answer(a); l != local || r != remote || err != nil {
				t.Errorf("%v, %v come back as %v, %v, %v", local, remote, l, r, err)
			}
		}
	})
}
