package main

import (
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/control"
)

func TestHowLongSomethingLastsIsReadOrRefused(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       time.Duration // -1: refused
	}{
		{"nothing", "", -1},
		{"no time at all", "0s", -1},
		{"less than none", "-1h", -1},
		{"no unit", "24", -1},
		{"no number", "h", -1},
		{"a unit of another program", "1y", -1},
		{"a fraction", "1.5h", -1},
		{"a blank", "1 h", -1},
		{"another case", "1H", -1},
		{"digits of another script", "١h", -1},
		{"over the most", "3651d", -1},
		{"over the most in parts", "3650d1s", -1},
		{"over all numbers", "99999999999999999999d", -1},
		{"a number that is too large for the unit", "9223372036854775807w", -1},
		{"many parts that add up to too much", "3650d3650d", -1},
		{"so many parts that the sum comes around", strings.Repeat("3650d", 59), -1},
		{"a day", "24h", 24 * time.Hour},
		{"a week", "7d", 7 * 24 * time.Hour},
		{"two weeks", "2w", 14 * 24 * time.Hour},
		{"parts", "1d12h30min5s", 36*time.Hour + 30*time.Minute + 5*time.Second},
		{"minutes as Go writes them", "90m", 90 * time.Minute},
		{"the most", "3650d", control.Most},
		{"for ever", "ever", 0},
	} {
		l := lasting(time.Hour)
		err := l.Set(c.text)
		if refused := c.want < 0; refused != (err != nil) || refused && l != lasting(time.Hour) || !refused && l != lasting(c.want) {
			t.Errorf("%s: %q is %s, %v", c.name, c.text, time.Duration(l), err)
		}
	}
}

func FuzzLasting(f *testing.F) {
	for _, s := range []string{"24h", "1d12h", "ever", "90min", "3650d", "0s", "1w1d", "3650d1s", "00000000000000000001d1d1d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l, again lasting
		if l.Set(text) != nil {
			return
		}
		if err := again.Set(l.String()); err != nil || again != l {
			t.Errorf("%q is written %s and read %s, %v", text, l.String(), again.String(), err)
		}
		if s := l.seconds(); s < 0 || s == 0 && l != 0 || s > int64(control.Most/time.Second) {
			t.Errorf("%q has %d s", text, s)
		}
	})
}
