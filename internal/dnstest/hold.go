package dnstest

import "sync"

// Hold keeps answers back until it is released, so that a test decides what happens first and no clock does. The zero
// Hold holds.
type Hold struct {
	mu       sync.Mutex
	released bool
	held     []func()
}

// Act holds what act answers. Answers given before the release come in the order of their questions.
func (h *Hold) Act(act Act) Act {
	return func(q *Query) []Packet {
		packets := act(q)
		for i := range packets {
			packets[i].hold = h
		}
		return packets
	}
}

// Release sends what was held, and holds nothing any more.
func (h *Hold) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, send := range h.held {
		send()
	}
	h.released, h.held = true, nil
}

// pass calls send now or at the release.
func (h *Hold) pass(send func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		send()
	} else {
		h.held = append(h.held, send)
	}
}
