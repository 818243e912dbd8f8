package acl

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// sequence numbers decisions so that no two of one second have the same id. The zero value is not seeded and starts at
// 0; newSequence starts anywhere, so that a restart within a second does not repeat ids.
type sequence struct{ n atomic.Uint32 }

func newSequence() *sequence {
	s := &sequence{}
	s.n.Store(rand.Uint32())
	return s
}

// next returns ten characters: six for the second, as in Exim's own message ids, four for the number, which begins
// anew after 14,776,336.
func (s *sequence) next(now time.Time) string {
	var id [10]byte
	put62(id[:6], uint64(max(now.Unix(), 0)))
	put62(id[6:], uint64(s.n.Add(1)))
	return string(id[:])
}

func put62(dst []byte, n uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = base62[n%62]
		n /= 62
	}
}

// TimeOfID returns the second in which a decision was made, by its id, and false for what is no id.
func TimeOfID(id string) (time.Time, bool) {
	if len(id) != 10 {
		return time.Time{}, false
	}
	seconds := int64(0)
	for i := range len(id) {
		n := strings.IndexByte(base62, id[i])
		if n < 0 {
			return time.Time{}, false
		}
		if i < 6 {
			seconds = 62*seconds + int64(n)
		}
	}
	return time.Unix(seconds, 0), true
}
