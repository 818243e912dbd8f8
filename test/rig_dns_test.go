package test

import (
	"fmt"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

// names starts real name servers for a test.
func names(t *testing.T, served rig.Served) *rig.DNS {
	t.Helper()
	d, err := rig.NewDNS(served)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("rbldnsd and unbound:\n%s", tail(d.Log()))
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// silent opens a port where nobody answers.
func silent(t *testing.T) *rig.Silent {
	t.Helper()
	s, err := rig.NewSilent()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ownACL is the ACLs with which Exim evaluates its own condition for ownLists. A condition is one that it knows,
// zone=code,code or zone&mask; it stands in the answer if it holds.
func ownACL(conditions ...string) string {
	var b strings.Builder
	b.WriteString("own:\n  accept message = $acl_c_own\n    set acl_c_own =\n")
	for _, c := range conditions {
		fmt.Fprintf(&b, "    acl = own_one %s $acl_arg1\n", c)
	}
	// Both lists, of zones and of keys, have a separator of their own, for the colons of an address.
	b.WriteString("own_one:\n  accept dnslists = <; $acl_arg1/<| $acl_arg2\n    set acl_c_own = $acl_c_own $dnslist_domain\n  accept\n")
	return b.String()
}

// ownLists asks Exim's own dnslists about subjects in one process, and returns the zones that list each. An address as
// key is turned round by Exim as that of a client is.
func ownLists(t *testing.T, s *rig.Site, subjects []string) [][]string {
	t.Helper()
	var questions strings.Builder
	for _, subject := range subjects {
		questions.WriteString("[${acl{own}{" + subject + "}}]\n")
	}
	out, err := s.Feed(questions.String(), "exim4", "-be")
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(out))
	}
	var answers [][]string
	for line := range strings.Lines(out) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "> "); strings.HasPrefix(line, "[") {
			answers = append(answers, strings.Fields(strings.Trim(line, "[]")))
		}
	}
	if len(answers) != len(subjects) {
		t.Fatalf("%d answers to %d questions\n%s", len(answers), len(subjects), tail(out))
	}
	return answers
}

func TestRealNameServersAnswerRealExim(t *testing.T) {
	t.Parallel()
	d := names(t, rig.Served{
		Lists: []rig.List{
			{Zone: "set.example", Type: "ip4set", Entries: "203.0.113.7 :127.0.0.3:spam"},
			{Zone: "set.example", Type: "ip6trie", Entries: "2001:db8:7::/48 :127.0.0.4:spam"},
			{Zone: "trie.example", Type: "ip4trie", Entries: "203.0.113.0/29 :127.0.0.5:net"},
			{Zone: "names.example", Type: "dnset", Entries: ".bad.example :127.0.1.2:name"},
		},
		Port53: true,
	})
	s := site(t, rig.Config{Flavour: "stock", Without: true, Nameserver: d.Nameserver(),
		ACL: ownACL("set.example=127.0.0.2,127.0.0.3", "trie.example", "names.example&0.0.0.2", "set.example&0.0.0.4")})
	for _, c := range []struct{ subject, want string }{
		{"203.0.113.8", ""},
		{"2001:db8:8::1", ""},
		{"127.0.0.1", ""},
		{"good.example", ""},
		{"203.0.113.7", "set.example trie.example"},
		{"2001:db8:7::1", "set.example"},
		{"www.bad.example", "names.example"},
		{"127.0.0.2", "set.example trie.example"},
	} {
		if got := strings.Join(ownLists(t, s, []string{c.subject})[0], " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.subject, got, c.want)
		}
	}
}
