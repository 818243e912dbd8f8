package test

import (
	"fmt"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

// A situation is what stands behind the socket while an outsider tries.
type situation struct {
	name string
	// answer is the daemon's; nil is no daemon at all.
	answer *rig.Act
	// refuses says that the answer is a refusal, so that no mail is owed.
	refuses bool
}

func act(a rig.Act) *rig.Act { return &a }

// situations begins with the harmless ones. The rest is a daemon in an
// attacker's hands: whatever it says, it must not open the relay.
func situations() []situation {
	list := []situation{
		{name: "no daemon"},
		{name: "a daemon without an opinion", answer: act(rig.Dunno())},
		{name: "a daemon that says nothing", answer: act(rig.Act{})},
		{name: "garbage", answer: act(rig.Act{Reply: "\xff\x00\x01{}}}}{{{${readsocket{/}{}}\\\\\"\r\n\n= = end\n"})},
		{name: "a megabyte of garbage", answer: act(rig.Act{Reply: strings.Repeat("\xfe}=\" ", 200000)})},
	}
	for _, fields := range []string{
		"action=accept", "action=ACCEPT", `action="accept"`, "action=allow", "action=ok", "action=discard", "action=pass",
		"action=warn", "action=require", "action=", "accept", "accept=1 allow=1 discard=1",
		"action=dunno action=accept", "action=dunno verb=accept acl=accept", `action="dunno\naccept"`,
		"action=dunno control=submission", "action=dunno control=submission/sender_retain",
		"action=dunno control=caseful_local_part", "action=dunno control=cutthrough_delivery",
		"action=dunno control=suppress_local_fixups", `action=dunno control="fakereject/gone"`, "action=dunno control=debug",
		"action=dunno control=allow_auth_unadvertised", `action=dunno control="freeze\nqueue"`,
		`action=dunno tag="x\"\nrelay_host=1\nsasl_username=alice"`, `action=dunno relay_host=1 rcpt_verify=ok`,
		`action=dunno hdr="X-Relay: yes\nBcc: victim@elsewhere.example"`,
		`action=dunno note="a\nb" log="250 ok"`, "action=dunno delay=99999s", "action=dunno delay=${run{/bin/true}}",
		"action=accept rule=x id=${run{/bin/true}}",
	} {
		list = append(list, situation{name: fields, answer: act(rig.Whole(fields))})
	}
	for _, fields := range []string{
		`action=deny msg="250 2.1.5 accepted"`, `action=defer msg="250 ok"`, `action=drop msg="354 go on"`, `action=deny`,
	} {
		list = append(list, situation{name: fields, answer: act(rig.Whole(fields)), refuses: true})
	}
	return list
}

// foreignForms are the ways to name an address elsewhere.
func foreignForms() []string {
	return []string{"victim@" + rig.Foreign, "victim%" + rig.Foreign + "@" + rig.Domain, rig.Foreign + "!victim@" + rig.Domain,
		`"victim@` + rig.Foreign + `"@` + rig.Domain, "@" + rig.Domain + ":victim@" + rig.Foreign, "victim@[198.51.100.1]"}
}

// outsider tries every form of a foreign recipient, and says which the server took.
func outsider(t *testing.T, s *rig.Site) {
	t.Helper()
	for _, sender := range []string{"x@client.example", "alice@" + rig.Domain, ""} {
		c, r, err := s.Dial("203.0.113.7")
		check(t, err)
		defer c.Close()
		if r.Code != 220 {
			continue // refused at the door
		}
		c.Say("EHLO " + rig.Domain)
		c.Say("MAIL FROM:<" + sender + ">")
		taken := 0
		for _, to := range foreignForms() {
			if r := c.Say("RCPT TO:<" + to + ">"); r.Code/100 == 2 {
				t.Errorf("from <%s> to <%s>: %q", sender, to, r.Text)
				taken++
			}
		}
		if r := c.Say("DATA"); r.Code == 354 {
			t.Errorf("from <%s>: DATA was taken after %d foreign recipients", sender, taken)
		}
	}
}

// legitimate sends what this site has always taken: mail for a local user from
// outside, and mail elsewhere from a host that may relay and from a user who
// has logged in.
func legitimate(t *testing.T, s *rig.Site) {
	t.Helper()
	for _, m := range []struct{ client, auth, to string }{
		{"203.0.113.7", "", "alice@" + rig.Domain},
		{"198.51.100.5", "", "friend@" + rig.Foreign},
		{"203.0.113.8", "AUTH PLAIN AGFsaWNlAG9wZW4tc2VzYW1l", "friend@" + rig.Foreign},
	} {
		c := dial(t, s, m.client)
		say(t, c, "EHLO client.example", 250)
		if m.auth != "" {
			say(t, c, m.auth, 235)
		}
		if r := c.Message("alice@"+rig.Domain, []string{m.to}, mail("legitimate")); r.Code != 250 {
			t.Errorf("%s to %s: %q", m.client, m.to, r.Text)
		}
	}
}

func TestNoSituationOpensTheRelayOrLosesMail(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour+" before the snippets", func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour, Without: true, RelayHosts: []string{"198.51.100.5"}})
			outsider(t, s)
			legitimate(t, s)
			arrived(t, s, 1, 2)
		})
		t.Run(flavour+" with the snippets", func(t *testing.T) {
			t.Parallel()
			s := started(t, rig.Config{Flavour: flavour, RelayHosts: []string{"198.51.100.5"}})
			mails := 0
			var f *rig.Fake
			for _, c := range situations() {
				if c.answer != nil && f == nil {
					f = fake(t, s, nil)
				}
				if c.answer != nil {
					f.Follow(rig.Always(*c.answer))
				}
				outsider(t, s)
				if !c.refuses {
					legitimate(t, s)
					mails++
				}
				if t.Failed() {
					t.Fatalf("with %.200q", c.name)
				}
			}
			arrived(t, s, mails, 2*mails)
		})
	}
}

// arrived wants exactly that many mails for alice and for friends elsewhere.
func arrived(t *testing.T, s *rig.Site, alice, elsewhere int) {
	t.Helper()
	check(t, s.AwaitDelivered("alice", alice))
	check(t, s.AwaitRelayed(elsewhere))
	check(t, rig.Await("an empty queue", func() bool { q, err := s.Queue(); return err == nil && strings.TrimSpace(q) == "" }))
	if s.Delivered("alice") != alice || s.Relayed() != elsewhere {
		t.Errorf("%d of %d for alice, %d of %d elsewhere", s.Delivered("alice"), alice, s.Relayed(), elsewhere)
	}
	if out := s.Outbox(); strings.Contains(out, "Envelope-to: victim") {
		t.Errorf("an outsider's mail left:\n%s", out)
	}
}

func TestATestSessionOfAnOutsiderIsRefusedTheRelay(t *testing.T) {
	for _, flavour := range eximsnippets.Flavours() {
		for _, without := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s without=%v", flavour, without), func(t *testing.T) {
				t.Parallel()
				s := site(t, rig.Config{Flavour: flavour, Without: without})
				fake(t, s, rig.Always(rig.Whole("action=accept")))
				out, err := s.BH("203.0.113.7", "EHLO client.example", "MAIL FROM:<x@client.example>",
					"RCPT TO:<victim@"+rig.Foreign+">", "RCPT TO:<alice@"+rig.Domain+">", "QUIT")
				if err != nil || !strings.Contains(out, "\n550 relay not permitted") || !strings.Contains(out, "\n250 Accepted") {
					t.Errorf("%v\n%s", err, out)
				}
				for _, bad := range []string{"\n451", "Temporary local problem"} {
					if strings.Contains(out, bad) {
						t.Errorf("%s in\n%s", bad, out)
					}
				}
			})
		}
	}
}
