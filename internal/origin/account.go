package origin

import (
	"os/user"
	"strconv"
	"strings"
)

// Account returns the name of the account that has this uid. No such account, [NoUID], and an account database that
// can not be asked are all ok = false: the number is then all there is to say.
//
// It reads the account database at each call, and where that is a directory service it waits for the network, for
// as long as nsswitch.conf(5) says: nothing for the path of a request. Safe for concurrent use.
func Account(uid uint32) (name string, ok bool) {
	if uid == NoUID {
		return "", false
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil || u.Username == "" {
		return "", false
	}
	return u.Username, true
}

// UID returns the uid of the account name, which may also be the uid itself, in decimal; that is then taken as it
// stands, whether such an account exists or not. ok is false as with Account, the uid then [NoUID], and it waits
// like Account.
//
// Digits are always a number, never a name (chown(1) tries the name first): a setting then means the same user on
// every host, and it does not change its meaning because somebody adds an account.
func UID(name string) (uid uint32, ok bool) {
	if strings.Contains(name, "\x00") { // the C library would read up to it: "root\x00x" is not root
		return NoUID, false
	}
	if !digits(name) {
		u, err := user.Lookup(name)
		if err != nil {
			return NoUID, false
		}
		name = u.Uid
	}
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil || uint32(n) == NoUID {
		return NoUID, false
	}
	return uint32(n), true
}

// digits says that s is nothing but decimal digits, and not empty.
func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
