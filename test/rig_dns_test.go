package test

import (
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

// ownLists asks Exim's own dnslists about subjects, one evaluation of a condition each, and returns for each the zones
// that listed it. An address as key is turned round by Exim as that of a client is.
func ownLists(t *testing.T, s *rig.Site, subjects []string) []string {
	t.Helper()
	var questions strings.Builder
	for _, subject := range subjects {
		questions.WriteString("[${acl{own}{" + subject + "}}]\n")
	}
	out, err := s.Feed(questions.String(), "exim4", "-be")
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(out))
	}
	// The prompt stands before each answer.
	var answers []string
	for line := range strings.Lines(out) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "> "); strings.HasPrefix(line, "[") {
			answers = append(answers, strings.Trim(line, "[]"))
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
		ACL: "own:\n  accept message = $acl_c_own\n" +
			"    set acl_c_own =\n" +
			"    acl = own_one set.example $acl_arg1\n" +
			"    acl = own_one trie.example $acl_arg1\n" +
			"    acl = own_one names.example $acl_arg1\n" +
			"own_one:\n  accept dnslists = <; $acl_arg1/<| $acl_arg2\n    set acl_c_own = $acl_c_own $dnslist_domain=$dnslist_value\n  accept\n"})
	for subject, want := range map[string]string{
		"203.0.113.8":     "",
		"2001:db8:8::1":   "",
		"127.0.0.1":       "",
		"good.example":    "",
		"203.0.113.7":     " set.example=127.0.0.3 trie.example=127.0.0.5",
		"2001:db8:7::1":   " set.example=127.0.0.4",
		"www.bad.example": " names.example=127.0.1.2",
		"127.0.0.2":       " set.example=127.0.0.2 trie.example=127.0.0.2",
	} {
		if got := ownLists(t, s, []string{subject})[0]; got != want {
			t.Errorf("%s: %q, want %q", subject, got, want)
		}
	}
}
