package origin

import (
	"os"
	"testing"
)

func TestAccount(t *testing.T) {
	for _, c := range []struct {
		name string
		uid  uint32
		want string
		ok   bool
	}{
		{"nobody at all", NoUID, "", false},
		{"a uid without an account", 4_000_000_001, "", false},
		{"root", 0, "root", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := Account(c.uid); got != c.want || ok != c.ok {
				t.Errorf("Account(%d) = %q, %t; want %q, %t", c.uid, got, ok, c.want, c.ok)
			}
		})
	}
}

func TestUID(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string
		want uint32
		ok   bool
	}{
		{"empty", "", NoUID, false},
		{"no such account", "no-such-account.example", NoUID, false},
		{"negative", "-1", NoUID, false},
		{"signed", "+0", NoUID, false},
		{"with a blank", " 0", NoUID, false},
		{"hexadecimal", "0x0", NoUID, false},
		{"(uid_t)-1", "4294967295", NoUID, false},
		{"33 bits", "4294967296", NoUID, false},
		{"too many digits", "99999999999999999999999", NoUID, false},
		{"digits of another script", "٣", NoUID, false},
		{"a NUL", "root\x00", NoUID, false},
		{"a colon", "root:x", NoUID, false},
		{"a name", "root", 0, true},
		{"a number", "0", 0, true},
		{"a number without an account", "4000000001", 4_000_000_001, true},
		{"the greatest", "4294967294", 4294967294, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := UID(c.in); got != c.want || ok != c.ok {
				t.Errorf("UID(%q) = %d, %t; want %d, %t", c.in, got, ok, c.want, c.ok)
			}
		})
	}
}

func TestAccountAndUIDAgree(t *testing.T) {
	me := uint32(os.Getuid())
	name, ok := Account(me)
	if !ok {
		t.Skipf("uid %d has no account here", me)
	}
	if uid, ok := UID(name); uid != me || !ok {
		t.Errorf("UID(%q) = %d, %t; want %d", name, uid, ok, me)
	}
}
