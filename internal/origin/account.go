package origin

import (
	"os/user"
	"strconv"
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
// stands, whether such an account exists or not. ok is false as with Account, and it waits like Account.
//
// Digits are always a number, never a name (chown(1) tries the name first): a setting then means the same user on
// every host, and it does not change its meaning because somebody adds an account.
func UID(name string) (uid uint32, ok bool) {
	if digits(name) {
		n, err := strconv.ParseUint(name, 10, 32)
		return uint32(n), err == nil && uint32(n) != NoUID
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err == nil && uint32(n) != NoUID
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
