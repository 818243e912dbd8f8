package rbl

import (
	"fmt"
	"strings"
)

// dead are the lists that have ended, by the domain that they were in: what is in it is dead too. A dead list does no
// good, and it may do harm at any time: eight of these have listed everybody, because their operator had enough of being
// asked, or because their domain ran out and the next owner answers every name. A year stands where it is known for sure.
var dead = []struct {
	domain string
	how    string // follows "is dead: "
}{
	{"sorbs.net", "its owner emptied it in June 2024"},
	{"dnsbl.manitu.net", "NiX Spam was shut down in January 2025"},
	{"ordb.org", "it was shut down in 2006, and has listed everybody since 2008"},
	{"dsbl.org", "it was shut down in 2008"},
	{"ahbl.org", "it ended in 2014, and has listed everybody since 2015"},
	{"spamcannibal.org", "its domain ran out in 2018 and then listed everybody"},
	{"njabl.org", "it was shut down in 2013"},
	{"opm.blitzed.org", "it was shut down in 2006"},
	{"megarbl.net", "its domain ran out in 2019 and then listed everybody"},
	{"emailbasura.org", "its domain was sold in 2019 and then listed everybody"},
	{"msrbl.net", "its domain ran out more than once, listing everybody each time"},
	{"dnsbl.inps.de", "it was shut down in 2020"},
	{"wpbl.info", "it was emptied in 2023 and shut down in 2024"},
	{"virbl.bit.nl", "it was shut down in 2017"},
	{"virbl.dnsbl.bit.nl", "it was shut down in 2017"},
	{"wormrbl.imp.ch", "its operator does not publish it any more"},
	{"dnsbl.cyberlogic.net", "it has listed everybody since 2018"},
	{"unsubscore.com", "it does not answer any more"},
	{"dnsrbl.org", "it is not published any more"},
	{"psky.me", "its domain was parked in 2019 and then listed everybody"},
	{"rfc-ignorant.org", "it was shut down in 2012"},
}

// deadZone reports that a zone is one that has ended, how and when, or nil.
func deadZone(zone string) error {
	for _, d := range dead {
		if within(zone, d.domain) {
			return fmt.Errorf("%s is dead: %s; leave it out", publicName(zone), d.how)
		}
	}
	return nil
}

// within reports whether a name is domain or under it.
func within(name, domain string) bool {
	before, ok := strings.CutSuffix(name, domain)
	return ok && (before == "" || before[len(before)-1] == '.')
}
