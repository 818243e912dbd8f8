// Package rig sets up real Exim for a test: one Site is one Exim with a
// packaged configuration, a private spool, log and mailboxes, listening on a
// loopback port, and one Fake is a policy daemon that answers from a script.
//
// A Site runs in a mount name space of its own, in which its folders lie over
// /etc/exim4, /var/spool/exim4, /var/log/exim4, /var/mail and a few files of
// /etc. So the configuration needs no other paths than an installed one, no -C
// (for which Exim drops its privilege), and sendmail as an ordinary user finds
// it. Every process of a site is one of that name space: that is how Close
// finds the deliveries Exim started in the background.
//
// It needs root, and says so: see Check. Nothing leaves the machine: the name
// server of a site is a loopback address where nobody listens, or the unbound of
// a DNS, which has a root of its own; and mail for domains elsewhere goes to a
// file, where Relayed counts it.
//
// Known mailboxes are alice, bob and carol in the domain Domain, and later,
// whose router defers; alice can log in with the password Password. Connections from ProxyFrom begin with a
// line of the PROXY protocol, so that a test can have any client address.
package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
)

// What every site has in common.
const (
	Domain    = "lab.example.test" // the local domain, and the name of the host
	Foreign   = "elsewhere.example"
	Password  = "open-sesame"
	ProxyFrom = "127.0.0.9" // hosts_proxy
	eximUser  = "Debian-exim"
)

// Users returns the names of the mailboxes.
func Users() []string { return []string{"alice", "bob", "carol"} }

// Check says what is missing for a Site, with the command that installs it.
func Check() error {
	if os.Getuid() != 0 {
		return errors.New("rig: real Exim needs root for a mount name space and for Exim's uid: run the tests as root, sudo make test")
	}
	for _, tool := range []struct{ file, pkg string }{
		{"/usr/sbin/exim4", "exim4-daemon-heavy"},
		{"/usr/sbin/update-exim4.conf", "exim4-config"},
		{"/usr/bin/unshare", "util-linux"},
		{"/usr/bin/nsenter", "util-linux"},
		{"/usr/bin/setpriv", "util-linux"},
		{"/usr/bin/find", "findutils"},
	} {
		if _, err := os.Stat(tool.file); err != nil {
			return fmt.Errorf("rig: %s is missing: apt-get install -y --no-install-recommends %s", tool.file, tool.pkg)
		}
	}
	// Without a network: Exim looks for the name of the machine, and here nothing says yet whom it may ask.
	out, err := exec.Command("/usr/bin/unshare", "--net", "/usr/sbin/exim4", "-bV").Output()
	if err != nil {
		return fmt.Errorf("rig: exim4 -bV: %w: apt-get install -y --no-install-recommends exim4-daemon-heavy", err)
	}
	if !hasWord(string(out), "Content_Scanning") {
		return errors.New("rig: this Exim has no content scanning: apt-get install -y --no-install-recommends exim4-daemon-heavy")
	}
	return nil
}

// eximIDs returns uid and gid of Exim's user.
func eximIDs() (uid, gid int, err error) {
	u, err := user.Lookup(eximUser)
	if err != nil {
		return 0, 0, fmt.Errorf("rig: %w: apt-get install -y --no-install-recommends exim4-daemon-heavy", err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, fmt.Errorf("rig: uid of %s: %w", eximUser, err)
	}
	gid, err = strconv.Atoi(u.Gid)
	if err != nil {
		return 0, 0, fmt.Errorf("rig: gid of %s: %w", eximUser, err)
	}
	return uid, gid, nil
}
