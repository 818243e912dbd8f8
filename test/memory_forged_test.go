package test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

// forgedSessions is how many of each kind a local user makes, forgedGuesses how many recipients each has.
const forgedSessions, forgedGuesses = 20, 7

// TestWhatALocalUserMakesUpLeavesTheMemoryAsItWas has what nobody, or a hacked site, can do on the machine itself to get
// somebody else banned, or himself forgiven.
func TestWhatALocalUserMakesUpLeavesTheMemoryAsItWas(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock", Ports: []int{25}, Queue: true})
	d := daemon(t, s, guarded+"policy.nobody = {mode = \"enforce\", action = \"freeze\", users = [\"root\"]}\n")
	hated := caller{client: "203.0.113.50"}
	for range 5 {
		hated.asks(t, s, "x@example.org", guess(1)) // banned by then
	}
	caller{client: "203.0.113.51"}.asks(t, s, "x@example.org", "alice@"+rig.Domain, guess(1), guess(2))
	bannedBy(t, d, "203.0.113.50/32")
	before := memory(t, s)
	if len(before) < 4 {
		t.Fatalf("only %d lines are remembered:\n%s", len(before), strings.Join(before, ""))
	}

	conn, err := s.Connect(netip.MustParseAddrPort("198.51.100.66:40000")) // a session of a relay, live
	if err != nil {
		t.Fatal(err)
	}
	proxy := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	live, r, err := rig.Talk(conn)
	if err != nil || r.Code != 220 {
		t.Fatal(err, r)
	}
	defer live.Close()
	roots := dial(t, s, "") // and one of root's
	sessions := 0
	for _, f := range []forger{
		{"exim -bh of an invented connection", inventedGuesses},
		{"a copy of a live connection that names a victim", copiedGuesses(proxy)},
		{"a copy of root's connection, with mail to elsewhere", copiedHolds(roots.From())},
		{"sendmail -bs", typedGuesses("-bs")},
		{"sendmail -bS", typedGuesses("-bS")},
	} {
		sessions += forgedSessions
		atOnce(t, forgedSessions, func(n int) error {
			if out, err := f.session(s, n); err != nil {
				return fmt.Errorf("%s: %w %s", f.name, err, out)
			}
			return nil
		})
	}
	overLoopback(t, s)
	say(t, live, "EHLO relay.example.net", 250)
	if one := decided(t, d, "HELO", "of the live one", func(l rig.Decision) bool { return l.HELO == "relay.example.net" }); one.Synthetic {
		t.Errorf("the live one: %+v", one)
	}
	synthetic, local := 0, 0
	check(t, rig.Await("every recipient to be judged", func() bool {
		synthetic, local = forgedAreJudged(t, d)
		return t.Failed() || synthetic >= 2*forgedSessions*forgedGuesses && local >= forgedSessions*forgedGuesses
	}))
	if after := memory(t, s); !slices.Equal(before, after) {
		t.Errorf("was\n%sis\n%s", strings.Join(before, ""), strings.Join(after, ""))
	}
	t.Logf("FIGURE forged: %d sessions with %d synthetic recipients, %d lines of memory unchanged", sessions, synthetic, len(before))
}

// A forger makes one session up.
type forger struct {
	name    string
	session func(s *rig.Site, n int) (string, error)
}

// forgedTalk guesses as much as bans for, and more.
func forgedTalk(sep string) string {
	lines := []string{"EHLO ylmf-pc", "MAIL FROM:<x@example.org>"}
	for i := range forgedGuesses {
		lines = append(lines, "RCPT TO:<nosuch"+fmt.Sprint(i)+"@"+rig.Domain+">")
	}
	return strings.Join(append(lines, "QUIT"), sep)
}

func inventedGuesses(s *rig.Site, n int) (string, error) {
	server := s.Addr() // Exim does listen there
	if n%2 == 0 {
		server = "192.0.2.2:25"
	}
	client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n % 5)}), uint16(4000+n))
	return s.As("nobody", "/tmp", forgedTalk("\r\n")+"\r\n", "exim4", "-oMi", dotted(netip.MustParseAddrPort(server)), "-bh", dotted(client))
}

func copiedGuesses(proxy netip.AddrPort) func(*rig.Site, int) (string, error) {
	return func(s *rig.Site, n int) (string, error) {
		talk := fmt.Sprintf("PROXY TCP4 198.51.100.66 192.0.2.25 %d 25|", 40000+n%2) + forgedTalk("|")
		return s.As("nobody", "/tmp", "", "/usr/bin/php", "-r", throughProxy, "--", talk,
			"/usr/sbin/exim4", "-oMi", dotted(netip.MustParseAddrPort(s.Addr())), "-bh", dotted(proxy))
	}
}

// copiedHolds has mail that is put on hold.
func copiedHolds(live netip.AddrPort) func(*rig.Site, int) (string, error) {
	talk := "EHLO root.example.net\r\nMAIL FROM:<alice@" + rig.Domain + ">\r\nRCPT TO:<friend@" + rig.Foreign + ">\r\nQUIT\r\n"
	return func(s *rig.Site, _ int) (string, error) {
		return s.As("nobody", "/tmp", talk, "exim4", "-oMi", dotted(netip.MustParseAddrPort(s.Addr())), "-bh", dotted(live))
	}
}

func typedGuesses(how string) func(*rig.Site, int) (string, error) {
	talk := forgedTalk("\r\n") + "\r\n"
	if how == "-bS" { // where only a message is asked about
		talk = strings.ReplaceAll(talk, "QUIT", "DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT")
	}
	return func(s *rig.Site, _ int) (string, error) { return s.As("nobody", "/tmp", talk, sendmail, how) }
}

// forgedAreJudged returns how many recipients were asked about: of sessions that do not exist, and of -bs.
func forgedAreJudged(t *testing.T, d *rig.Daemon) (synthetic, local int) {
	t.Helper()
	lines, err := d.Decisions()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		switch {
		case l.Stage != "RCPT" || l.HELO != "ylmf-pc":
		case l.Synthetic:
			synthetic++
		case l.Class == "local":
			local++
		case l.Class != "loopback":
			t.Errorf("not synthetic: %+v", l)
		}
	}
	return synthetic, local
}

// overLoopback guesses over SMTP from this machine, and tries the daemon's own socket.
func overLoopback(t *testing.T, s *rig.Site) {
	t.Helper()
	for range 6 {
		out, err := talks(s, "nobody", s.At(25), forgedTalk("|"))
		if err != nil || strings.Count(out, "\n250 Accepted") != forgedGuesses || strings.Contains(out, "dictionary") {
			t.Fatalf("over loopback: %v %s", err, out)
		}
	}
	const connects = `$f = @stream_socket_client("unix://" . $argv[1], $no, $why); echo $f ? "connected" : $why;`
	out, err := s.As("nobody", "/tmp", "", "/usr/bin/php", "-r", connects, "--", s.SocketPath())
	if err != nil || out != "Permission denied" {
		t.Errorf("the daemon's socket: %v %s", err, out)
	}
}

// talker is a PHP program that speaks SMTP to a server as its user, one line after the answer to another.
const talker = `
$f = fsockopen("tcp://" . $argv[1]) or exit(1);
function answer($f) { do { $l = fgets($f); echo $l; } while ($l !== false && strlen($l) > 3 && $l[3] == "-"); }
answer($f);
foreach (explode("|", $argv[2]) as $line) { fwrite($f, "$line\r\n"); answer($f); }`

// talks has a user speak SMTP to a server, lines between |, and returns the answers.
func talks(s *rig.Site, user, server, lines string) (string, error) {
	return s.As(user, "/tmp", "", "/usr/bin/php", "-r", talker, "--", server, lines)
}
