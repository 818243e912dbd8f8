package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"eximpolicyd/internal/control"
)

// lasting is how long something is to last: --for 90min, 24h, 7d, 2w, 1d12h, or ever. The zero value lasts for ever.
type lasting time.Duration

var units = []struct {
	name string
	long time.Duration
}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"m", time.Minute}, {"s", time.Second}}

// String writes it as Set reads it.
func (l *lasting) String() string {
	d := time.Duration(*l)
	if d == 0 {
		return "ever"
	}
	var b strings.Builder
	for _, u := range units {
		if n := d / u.long; n > 0 && u.name != "w" {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d %= u.long
		}
	}
	return b.String()
}

// Set reads it.
func (l *lasting) Set(text string) error {
	if text == "ever" {
		*l = 0
		return nil
	}
	total, rest := time.Duration(0), text
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		rest = rest[digits:]
		unit := time.Duration(0)
		for _, u := range units {
			if after, ok := strings.CutPrefix(rest, u.name); ok {
				unit, rest = u.long, after
				break
			}
		}
		if err != nil || unit == 0 {
			return errors.New("write one like 90min, 24h, 7d, 1d12h or ever")
		}
		if n > int64((control.Most-total)/unit) {
			return fmt.Errorf("the most is %dd; say ever", control.Most/(24*time.Hour))
		}
		total += time.Duration(n) * unit
	}
	if total == 0 {
		return errors.New("that would be over at once; write one like 90min, 24h, 7d, 1d12h or ever")
	}
	*l = lasting(total)
	return nil
}

// Type is what the help calls it.
func (l *lasting) Type() string { return "DURATION" }

// seconds is what a request has, 0 for ever.
func (l *lasting) seconds() int64 { return int64(time.Duration(*l) / time.Second) }
