package acl

import (
	"testing"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// A conversation remembers of itself what the connection table remembers of one of Exim's.
func TestAConversationRemembersHowItGreetedWhomItWroteToAndWhatItTried(t *testing.T) {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	guards := deciderOf(table(policy.Enforce, policy.Enforce, policy.Strict)...)
	fresh := func() *Conversation { return &Conversation{Settings: &Settings{Decider: guards, Ledger: memory}} }
	says := func(c *Conversation, words ...string) Decision {
		return c.Decide(t.Context(), rcpt(t, words...), noon, true)
	}
	c := fresh()
	says(c, "protocol_state=CONNECT", "helo_name", "sender", "recipient")
	says(c, "protocol_state=HELO", "helo_name=a.example.com", "sender", "recipient")
	says(c, "protocol_state=HELO", "helo_name=mail.example.com", "sender", "recipient")
	if d := says(c); d.Rule != "helo.H14" {
		t.Errorf("a greeting that changed: %s", brief(&d))
	}
	c = fresh()
	for i := range 5 {
		d := says(c, "rcpt_verify=unknown")
		if (d.Rule == "dictionary.hard") != (i == 4) {
			t.Errorf("guess %d: %s", i+1, brief(&d))
		}
	}
	c = fresh()
	c.Unproven = true
	for range 9 {
		if d := says(c, "rcpt_verify=unknown"); d.Rule != "" || !d.Synthetic {
			t.Errorf("a guess that is not proven: %s", brief(&d))
		}
	}
	c = fresh()
	says(c, "protocol_state=MAIL", "recipient")
	says(c, "recipient=postmaster@example.org")
	if d := says(c, "protocol_state=DATA", "recipient", "recipient_count=1"); d.Class != policy.Postmaster {
		t.Errorf("to postmaster alone: %s", d.Class)
	}
}

// Messages that are submitted on this machine are of no connection: each is counted when it is put on hold.
func TestAConversationCountsEachLocalMessageThatIsPutOnHold(t *testing.T) {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	rules := policy.Bind(policy.Table(), map[string]policy.Setup{"nobody": {Mode: policy.Known(policy.Enforce),
		Settings: &policy.Nobody{Users: []string{"web"}, Action: "freeze"}}}, policy.Enforce)
	c := Conversation{Settings: &Settings{Decider: deciderOf(rules...), Ledger: memory},
		Account: func(uid uint32) (string, bool) { return "web", uid == 4242 }}
	for i := range 21 {
		q := ask(t, "protocol_state=NOT_SMTP", "uid=4242", "remote_count=1", "remote_first=a@example.com", "sender=web@example.org")
		d := c.Decide(t.Context(), q, noon.Add(time.Duration(i)*time.Second), false)
		if want := map[bool]policy.Action{true: policy.Freeze, false: policy.Deny}[i < 20]; d.Action != want {
			t.Errorf("message %d: %s", i+1, brief(&d))
		}
	}
}
