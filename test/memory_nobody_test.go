package test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

// outward is an IPv4 address of this machine that others know it by, or nothing.
func outward(t *testing.T) string {
	t.Helper()
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p.Addr().String()
		}
	}
	t.Log("this machine has no address but those of loopback")
	return ""
}

// login is how alice logs in.
const login = "AUTH PLAIN AGFsaWNlAG9wZW4tc2VzYW1l|"

func TestTheMemoryOfAConnectionHasWhoOpenedItOnThisMachine(t *testing.T) {
	t.Parallel()
	own := outward(t)
	s := started(t, rig.Config{Flavour: "debian-split", RelayHosts: []string{"127.0.0.1", own}, Own: own})
	d := daemon(t, s, enforcing("lenient")+guarded)
	servers := []string{s.Addr()}
	if own != "" {
		_, port, err := net.SplitHostPort(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, net.JoinHostPort(own, port))
	}
	for i, c := range []struct {
		name, user, auth, to string
		uid                  uint32
		refused              bool
	}{
		{"nobody, to elsewhere", "nobody", "", "friend@" + rig.Foreign, nobodyUID, true},
		{"nobody, to a local user", "nobody", "", "alice@" + rig.Domain, nobodyUID, false},
		{"nobody, who has logged in", "nobody", login, "friend@" + rig.Foreign, nobodyUID, false},
		{"another user", "12002", "", "friend@" + rig.Foreign, 12002, false},
	} {
		for j, server := range servers {
			helo := fmt.Sprintf("local%d%d.example.org", i, j)
			out, err := talks(s, c.user, server, "EHLO "+helo+"|"+c.auth+"MAIL FROM:<alice@"+rig.Domain+">|RCPT TO:<"+c.to+">")
			refused := refusedToNobody(out)
			if err != nil || refused != c.refused || !refused && !strings.Contains(out, "\n250 Accepted") {
				t.Errorf("%s, at %s: %v %s", c.name, server, err, out)
			}
			one := decided(t, d, "RCPT", "of "+c.name, func(l rig.Decision) bool { return l.HELO == helo })
			if one.ClientUID == nil || *one.ClientUID != c.uid || one.Synthetic {
				t.Errorf("%s, at %s: %+v", c.name, server, one)
			}
		}
	}
	t.Logf("FIGURE nobody over SMTP: refused by uid at %s", strings.Join(servers, " and at "))
}

// refusedToNobody says whether answers have a refusal of nobody.N1, folded or not.
func refusedToNobody(answers string) bool {
	return strings.Contains(answers, "\n550") && strings.Contains(answers, "(nobody.N1")
}

// hurrier is a PHP program that greets, sends a whole message in one write, and closes before anybody has read it: from
// then on the kernel says that root had the socket.
const hurrier = `
$f = fsockopen("tcp://" . $argv[1]) or exit(1);
fgets($f);
fwrite($f, "EHLO $argv[2]\r\n");
do { $l = fgets($f); } while ($l !== false && $l[3] == "-");
$mail = "Subject: hurried\r\n\r\ntext\r\n";
fwrite($f, "MAIL FROM:<alice@$argv[3]>\r\nRCPT TO:<$argv[4]>\r\nBDAT " . strlen($mail) . " LAST\r\n{$mail}QUIT\r\n");
fclose($f);`

func TestTheMemoryOfAConnectionOutlivesTheClientsEnd(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	d := daemon(t, s, enforcing("lenient")+guarded)
	const tries = 5
	for _, c := range []struct {
		user string
		uid  uint32
		end  string // the stage by which it is decided
	}{{"nobody", nobodyUID, "RCPT"}, {"12002", 12002, "DATA"}} {
		for n := range tries {
			helo := fmt.Sprintf("hurry%d.%s.example.org", n, c.user)
			out, err := s.As(c.user, "/tmp", "", "/usr/bin/php", "-r", hurrier, "--", s.Addr(), helo, rig.Domain, "friend@"+rig.Foreign)
			if err != nil {
				t.Fatalf("%v %s", err, out)
			}
			one := decided(t, d, c.end, "of "+helo, func(l rig.Decision) bool { return l.HELO == helo })
			if one.ClientUID == nil || *one.ClientUID != c.uid || (one.Action == "deny" && one.Rule == "nobody.N1") != (c.user == "nobody") {
				t.Errorf("%s: %+v", c.user, one)
			}
		}
	}
	// The other user's messages have left, so the trick is one.
	if err := s.AwaitRelayed(tries); err != nil || s.Relayed() != tries {
		t.Errorf("%v: %d left the machine, want %d", err, s.Relayed(), tries)
	}
	t.Logf("FIGURE BDAT and close: nobody refused %d of %d times, another user's %d messages left", tries, tries, s.Relayed())
}

// flood is a shell script that sends so many mails to elsewhere, eight at a time. Exim says on standard error why it does
// not take one, and makes no bounce of it.
const flood = `for worker in 1 2 3 4 5 6 7 8; do
  i=0; while [ $i -lt $1 ]; do
    i=$((i+1)); printf 'Subject: flood\n\nx\n' | /usr/sbin/sendmail -oep -i friend@` + rig.Foreign + ` 2>>refused
  done &
done
wait
`

// floods runs it as nobody and returns how many were refused.
func floods(t *testing.T, s *rig.Site, name string, each int) int {
	t.Helper()
	dir := folder(t, s, name)
	if err := os.Chown(dir, nobodyUID, nobodyUID); err != nil {
		t.Fatal(err)
	}
	if out, err := s.As("nobody", dir, "", "/bin/sh", "-c", flood, "flood", fmt.Sprint(each)); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	said, err := os.ReadFile(filepath.Join(dir, "refused"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(said), "rejected by non-SMTP ACL")
}

// queued counts the messages in the queue, and those of them that are frozen.
func queued(t *testing.T, s *rig.Site) (all, frozen int) {
	t.Helper()
	out, err := s.Queue()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return strings.Count(out, " <"), strings.Count(out, "*** frozen ***")
}

func TestOfAFloodTwentyAreHeldAsTheMemoryCounts(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock", Queue: true})
	const freezing = "policy.nobody = {mode = \"enforce\", action = \"freeze\"}\n"
	d := daemon(t, s, "policy.nobody = {mode = \"observe\", action = \"freeze\"}\n")
	if refused := floods(t, s, "observed", 4); refused != 0 {
		t.Errorf("observed: %d refused", refused)
	}
	if all, frozen := queued(t, s); all != 32 || frozen != 0 {
		t.Errorf("observed: %d in the queue, %d frozen", all, frozen)
	}
	if err := d.Reload(freezing); err != nil {
		t.Fatal(err)
	}
	// One over SMTP, to three recipients, and then a thousand.
	to := "RCPT TO:<friend@" + rig.Foreign + ">|"
	out, err := talks(s, "nobody", s.Addr(), "EHLO x.example.org|MAIL FROM:<alice@"+rig.Domain+">|"+to+to+to+"DATA|Subject: x\r\n\r\nx\r\n.|QUIT")
	if err != nil || strings.Count(out, "\n250 Accepted") != 3 || !strings.Contains(out, "\n250 OK id=") {
		t.Fatalf("%v %s", err, out)
	}
	if all, frozen := queued(t, s); all != 33 || frozen != 1 {
		t.Errorf("over SMTP: %d in the queue, %d frozen", all, frozen)
	}
	const each = 125
	refused := floods(t, s, "enforced", each)
	all, frozen := queued(t, s)
	if refused != 8*each-19 || all != 32+20 || frozen != 20 {
		t.Errorf("%d refused, %d in the queue, %d frozen", refused, all, frozen)
	}
	out, err = talks(s, "nobody", s.Addr(), "EHLO x.example.org|MAIL FROM:<alice@"+rig.Domain+">|"+to+"QUIT")
	if err != nil || !refusedToNobody(out) {
		t.Errorf("over SMTP, after them: %v %s", err, out)
	}
	t.Logf("FIGURE flood of 1 over SMTP and %d by sendmail as nobody: %d frozen, %d refused", 8*each, frozen, refused)
}
