package control

import (
	"testing"
	"time"
)

func TestASpanHasTheUnitThatSaysMost(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "now", 0: "now", time.Second - 1: "now", time.Second: "1s", time.Minute - 1: "59s", time.Minute: "1min",
		time.Hour - 1: "59min", time.Hour: "1h", 48*time.Hour - 1: "47h", 48 * time.Hour: "2d", 9999 * 24 * time.Hour: "9999d",
	} {
		if got := Span(d); got != want || len(got) > 5 {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
