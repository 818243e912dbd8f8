package ledger

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxRule  = 64             // octets; "dictionary.window" has 17
	lastYear = 9000           // RFC 3339 has 9999, and clocks differ
	early    = 24 * time.Hour // that the clocks of two machines may differ by
)

// canonical returns the one way to write a network: no host bits, no zone, IPv4 as IPv4.
func canonical(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, errors.New("this is no network")
	}
	a, bits := p.Addr(), p.Bits()
	if a.Is4In6() {
		if bits < 96 {
			return p, fmt.Errorf("%s is neither of IPv4 nor of IPv6", p)
		}
		a, bits = a.Unmap(), bits-96
	}
	return netip.PrefixFrom(a.WithZone(""), bits).Masked(), nil
}

// printable returns a text as one line that can be printed, of so many octets at most.
func printable(text string, most int) string {
	plain := 0
	for plain < len(text) && text[plain] >= ' ' && text[plain] <= '~' {
		plain++
	}
	if plain == len(text) && plain <= most { // nearly always: what we wrote ourselves
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if !strconv.IsPrint(r) || r == utf8.RuneError {
			r = '?'
		}
		if b.Len()+utf8.RuneLen(r) > most {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isPrintable(text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("it has %d octets, the most is %d", len(text), most)
	}
	if printable(text, most) != text {
		return errors.New("it is no line that can be printed")
	}
	return nil
}

// check returns what no ban that we made can be. Its times are those of now.
func (b *Ban) check(now time.Time) error {
	if err := checkEntry(b.Network, b.Because, b.Made, b.Until, now); err != nil {
		return err
	}
	switch length := b.Until.Sub(b.Made); {
	case b.Level < 0 || b.Level > MaxLevel:
		return fmt.Errorf("level %d, not 0 to %d", b.Level, MaxLevel)
	case (b.Level == 0) != (b.Rule == Admin):
		return fmt.Errorf("level %d by rule %q: level 0 is an administrator's, rule %q", b.Level, b.Rule, Admin)
	case b.Rule == "":
		return errors.New("no rule")
	case b.Level == 0 && !b.Enforced:
		return errors.New("an administrator's ban that is only observed")
	case b.Level > 0 && b.Until.IsZero():
		return errors.New("it is for ever, and no administrator's")
	case b.Level > 0 && length > Length(b.Level):
		return fmt.Errorf("it lasts %s, and level %d lasts %s", length, b.Level, Length(b.Level))
	}
	if err := isPrintable(b.Rule, maxRule); err != nil {
		return fmt.Errorf("rule: %w", err)
	}
	return nil
}

// check returns what no entry of an administrator can be.
func (a *Allowed) check(now time.Time) error {
	return checkEntry(a.Network, a.Because, a.Made, a.Until, now)
}

func checkEntry(p netip.Prefix, because string, made, until, now time.Time) error {
	q, err := canonical(p)
	switch {
	case err != nil:
		return err
	case p != q:
		return fmt.Errorf("the network %s is written %s", p, q)
	case made.IsZero():
		return errors.New("it does not say when it was made")
	case made.After(now.Add(early)):
		return fmt.Errorf("made %s, more than a day from now: is a clock wrong?", made.Format(time.RFC3339))
	case until.Year() > lastYear:
		return fmt.Errorf("until the year %d: leave it out, for ever", until.Year())
	case !until.IsZero() && !until.After(made):
		return fmt.Errorf("until %s, not after it was made", until.Format(time.RFC3339))
	}
	if err := isPrintable(because, MaxBecause); err != nil {
		return fmt.Errorf("because: %w", err)
	}
	return nil
}

func (e *entry) check(now time.Time) error {
	if e.ban != nil {
		return e.ban.check(now)
	}
	return e.let.check(now)
}

// cut keeps a ban from lasting longer than its level does from now on, however wrong the clock was that it is of.
func (e *entry) cut(now time.Time) {
	b := e.ban
	if b == nil {
		return
	}
	if b.Made.After(now) {
		b.Made = now
	}
	if most := now.Add(Length(b.Level)); b.Level > 0 && b.Until.After(most) {
		b.Until = most
	}
}

// move moves the times of a ban from one clock to another.
func (b *Ban) move(by time.Duration) {
	b.Made = plain(b.Made.Add(by))
	if !b.Until.IsZero() {
		b.Until = plain(b.Until.Add(by))
	}
}

func (a *Allowed) move(by time.Duration) {
	a.Made = plain(a.Made.Add(by))
	if !a.Until.IsZero() {
		a.Until = plain(a.Until.Add(by))
	}
}
