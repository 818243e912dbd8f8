package test

import (
	"fmt"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

// An exception is a configuration of the policy, a submission to elsewhere, and what becomes of it.
type exception struct {
	name, config, user, dir, sender string
	action, would                   string
}

// exceptions are tried in their order; shop is a folder.
func exceptions(shop string) []exception {
	const on = "mode = \"enforce\""
	return []exception{
		{"nobody is refused", on, "nobody", "a", "", "deny", ""},
		{"a user by name", on + `, allow_users = ["nobody"]`, "nobody", "b", "", "dunno", ""},
		{"a user by number", on + `, allow_users = ["65534"]`, "nobody", "c", "", "dunno", ""},
		{"a folder", on + `, allow_dirs = ["` + shop + `"]`, "nobody", "shop", "", "dunno", ""},
		{"below a folder", on + `, allow_dirs = ["` + shop + `"]`, "nobody", "shop/admin", "", "dunno", ""},
		{"beside a folder", on + `, allow_dirs = ["` + shop + `"]`, "nobody", "shop2", "", "deny", ""},
		{"a sender", on + `, allow_senders = ["shop@example.org"]`, "nobody", "d", "Shop@example.org", "dunno", ""},
		{"a sender's domain", on + `, allow_senders = ["@example.org"]`, "nobody", "e", "shop@example.org", "dunno", ""},
		{"another sender", on + `, allow_senders = ["@example.org"]`, "nobody", "f", "shop@sub.example.org", "deny", ""},
		{"a user given by number", on + `, users = ["12002"]`, "12002", "g", "", "deny", ""},
		{"nobody, if others are written down", on + `, users = ["www-data"]`, "nobody", "h", "", "dunno", ""},
		{"www-data is only observed", on, "www-data", "i", "", "dunno", "deny"},
		{"www-data once it is written down", on + `, users = ["nobody", "www-data"]`, "www-data", "j", "", "deny", ""},
		{"www-data as an exception", on + `, allow_users = ["www-data"]`, "www-data", "k", "", "dunno", ""},
		{"an ordinary user", on, "12002", "l", "", "dunno", ""},
		{"a grace, which is none for local mail", on + ", grace_until = 2999-01-01", "nobody", "m", "", "deny", ""},
		{"observed", `mode = "observe"`, "nobody", "n", "", "dunno", "deny"},
		{"off", `mode = "off"`, "nobody", "o", "", "dunno", ""},
	}
}

func TestExceptionsFromNobodyGoByUserFolderAndSender(t *testing.T) {
	t.Parallel()
	s := site(t, rig.Config{Flavour: "debian-split"}) // where anybody may choose his sender
	d := daemon(t, s, "")
	shop := folder(t, s, "shop")
	passed := 0
	for i, c := range exceptions(shop) {
		if err := d.Reload("policy.nobody = {" + c.config + "}\n"); err != nil {
			t.Fatal(err)
		}
		dir := folder(t, s, c.dir)
		argv := []string{sendmail, "-i"}
		if c.sender != "" {
			argv = append(argv, "-f", c.sender)
		}
		out, err := s.As(c.user, dir, mail(fmt.Sprint("exception", i)), append(argv, "friend@"+rig.Foreign)...)
		if (err != nil) != (c.action == "deny") {
			t.Errorf("%s: %v %s", c.name, err, out)
		}
		one := submitted(t, d, dir, "")
		if one.Action != c.action || one.Would != c.would || (one.Rule == "nobody.N1") != (c.action == "deny" || c.would == "deny") {
			t.Errorf("%s: %+v", c.name, one)
		}
		if c.action == "dunno" {
			passed++
		}
	}
	if strings.Contains(d.Log(), "is not changed") {
		t.Error(d.Log())
	}
	// And Exim's own report to the sender elsewhere that nobody had chosen.
	bounces := func() int { return strings.Count(s.Outbox(), "\nReturn-path: <>\n") }
	if err := rig.Await("what passed to leave, and a bounce", func() bool { return s.Relayed() >= passed+1 && bounces() > 0 }); err != nil {
		t.Error(err)
	}
	if n := s.Relayed(); n != passed+1 || bounces() != 1 {
		t.Errorf("%d left the machine, %d of them bounces; want %d and 1", n, bounces(), passed+1)
	}
	neverDeferred(t, d)
}

func TestAGraceDefersNobodyWhereThereIsASecondTry(t *testing.T) {
	t.Parallel()
	s := site(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, "policy.nobody = {mode = \"enforce\", grace_until = 2999-01-01}\n")
	dir := folder(t, s, "grace")
	out, err := ways()[1].run(s, "nobody", dir, "friend@"+rig.Foreign, "")
	if err != nil || !strings.Contains(out, "\n451") {
		t.Errorf("%v %s", err, out)
	}
	if one := submitted(t, d, dir, "friend@"+rig.Foreign); one.Action != "defer" || one.Code != "451 4.7.1" {
		t.Errorf("%+v", one)
	}
}

func TestABounceOfEximsOwnPassesEvenIfItsUserIsWrittenDown(t *testing.T) {
	t.Parallel()
	s := site(t, rig.Config{Flavour: "debian-unsplit"})
	d := daemon(t, s, "policy.nobody = {mode = \"enforce\", users = [\"nobody\", \"Debian-exim\"]}\n")
	out, err := s.As("nobody", folder(t, s, "far"), mail("far"), sendmail, "-i", "-f", "x@"+rig.Foreign, "friend@"+rig.Foreign)
	if err == nil {
		t.Errorf("passed: %s", out)
	}
	err = rig.Await("the bounce to leave", func() bool {
		return strings.Contains(s.Outbox(), "\nReturn-path: <>\n") && strings.Contains(s.Outbox(), "\nTo: x@"+rig.Foreign+"\n")
	})
	if err != nil || s.Relayed() != 1 {
		t.Errorf("%v: %d left the machine:\n%s", err, s.Relayed(), s.Outbox())
	}
	one := decided(t, d, "NOT_SMTP", "of the bounce", func(l rig.Decision) bool { return l.UID != nil && *l.UID != nobodyUID })
	if one.Action != "dunno" || one.Sender != "" {
		t.Errorf("%+v", one)
	}
	// With another sender than <> it is a user like others.
	if out, err := s.As("Debian-exim", "/", mail("no bounce"), sendmail, "-i", "friend@"+rig.Foreign); err == nil {
		t.Errorf("passed: %s", out)
	}
}
