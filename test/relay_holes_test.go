package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/internal/relaytest"
	"eximpolicyd/test/rig"
)

// Where anybody may relay, these forms do: those whose syntax Exim takes, whose sender it can verify, and which its own check
// of local parts lets through.
var (
	bySenders    = []string{"null sender", "own postmaster", "stranger", "localhost", "victim to victim", "routed sender"}
	byRecipients = []string{"quoted local part", "source route", "route by localhost", "route by two", "lookalike domain", "UTF-8 local part"}
	anybody      = slices.Concat(bySenders, byRecipients)
	bounces      = append([]string{"null sender"}, byRecipients...)
)

// A hole is a mistake of an administrator's in Exim's default configuration: one text put in the place of another.
type hole struct {
	name    string
	changes [][2]string
	finds   []string // the forms that relay
}

// withoutCheck takes away the stock configuration's own check for % and !, as old configurations have none.
var withoutCheck = [2]string{"local_parts   = ^[.] : ^.*[@%!/|]", "local_parts   = ^[.]"}

func holes() []hole {
	const sender = "  require verify        = sender\n"
	const routers = "begin routers\n"
	return []hole{
		{"relay_from_hosts = *", [][2]string{{"relay_from_hosts = <; localhost", "relay_from_hosts = *"}}, anybody},
		{"relay_to_domains = *", [][2]string{{"relay_to_domains =\n", "relay_to_domains = *\n"}}, anybody},
		{"authenticated for everybody", [][2]string{{"  accept  authenticated = *\n", "  accept  !authenticated = nobody\n"}}, anybody},
		{"own senders may relay", [][2]string{{sender, "  accept  senders = *@+local_domains\n" + sender}},
			[]string{"own postmaster", "own domain, nobody", "own host", "percent sender", "UTF-8 sender"}},
		{"bounces may relay", [][2]string{{sender, "  accept  senders = :\n" + sender}},
			bounces},
		{"a router for the percent hack", [][2]string{withoutCheck, {routers, routers + `percent:
  driver = redirect
  domains = +local_domains
  condition = ${if match{$local_part}{%}}
  data = ${sg{$local_part}{\N^(.+)%(.+)$\N}{\$1@\$2}}
`}}, []string{"percent hack", "percent twice", "percent, routed", "quoted percent at"}},
		{"a router for bang paths", [][2]string{withoutCheck, {routers, routers + `bang:
  driver = redirect
  domains = +local_domains
  condition = ${if match{$local_part}{\N^([^!]+)!(.+)$\N}}
  data = ${sg{$local_part}{\N^([^!]+)!(.+)$\N}{\$2@\$1}}
`}}, []string{"bang at domain", "bang and percent", "quoted bang"}},
		{"a router for addresses in local parts", [][2]string{withoutCheck, {routers, routers + `quoted:
  driver = redirect
  domains = +local_domains
  condition = ${if match{$local_part}{@}}
  data = $local_part
`}}, []string{"quoted at domain"}},
		{"a domain list without its dot", [][2]string{{"relay_to_domains =\n", "relay_to_domains = *" + rig.Domain + "\n"}},
			[]string{"lookalike domain"}},
	}
}

// dig opens an Exim on purpose: it changes the configuration of a stock site.
func dig(t *testing.T, s *rig.Site, changes [][2]string) {
	t.Helper()
	file := filepath.Join(s.Dir(), "etc-exim4", "exim4.conf")
	text, err := os.ReadFile(file)
	check(t, err)
	conf := string(text)
	for _, c := range changes {
		if strings.Count(conf, c[0]) != 1 {
			t.Fatalf("the configuration has not one %q", c[0])
		}
		conf = strings.Replace(conf, c[0], c[1], 1)
	}
	check(t, os.WriteFile(file, []byte(conf), 0o644))
}

// stranger tests a site over the network as a client from outside does.
func stranger(t *testing.T, s *rig.Site) *relaytest.Report {
	t.Helper()
	client := netip.MustParseAddrPort("203.0.113.7:4321")
	rep, err := relaytest.Test(context.Background(), relaytest.Options{
		Dial:   func(context.Context) (net.Conn, error) { return s.Connect(client) },
		Client: client.Addr(), Server: netip.MustParseAddr("192.0.2.25"),
		HELO: "client.example", From: "relaytest@www.example.net", Victim: "relaytest@www.example.org", TLS: true,
	})
	check(t, err)
	return rep
}

// played tests the Exim of a site by exim -bh, and returns the exit code too.
func played(t *testing.T, s *rig.Site, flags ...string) (*relaytest.Report, int) {
	t.Helper()
	out, err := s.Run(append([]string{binary(t), "relaytest", "--exim", "--json"}, flags...)...)
	first, _, _ := strings.Cut(out, "\n")
	rep := &relaytest.Report{}
	if bad := json.Unmarshal([]byte(first), rep); bad != nil {
		t.Fatalf("%v, %v: %s", bad, err, out)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return rep, exit.ExitCode()
	}
	check(t, err)
	return rep, 0
}

func formsThat(rep *relaytest.Report, result string) []string {
	var names []string
	for _, f := range rep.Forms {
		if f.Result == result {
			names = append(names, f.Form)
		}
	}
	return names
}

// answers are all that was said, for whoever has to find out why a test failed.
func answers(rep *relaytest.Report) string {
	var b strings.Builder
	for _, f := range slices.Concat(rep.Controls, rep.Forms) {
		fmt.Fprintf(&b, "%-22s %-9s %s %d %s\n", f.Form, f.Result, f.Stage, f.Code, f.Reply)
	}
	return b.String()
}

func TestAnEximOpenedOnPurposeIsFoundByTheRightForms(t *testing.T) {
	for _, h := range holes() {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			s := site(t, rig.Config{Flavour: "stock", Without: true})
			dig(t, s, h.changes)
			check(t, s.Start())
			rep := stranger(t, s)
			if diff := cmp.Diff(h.finds, formsThat(rep, relaytest.Relays)); diff != "" || rep.Verdict != relaytest.Open {
				t.Errorf("over the network (-want +got): %s\n%s%s", rep.Verdict, diff, answers(rep))
			}
			rep, code := played(t, s)
			if diff := cmp.Diff(h.finds, formsThat(rep, relaytest.Relays)); diff != "" || code != 1 || rep.Verdict != relaytest.Open {
				t.Errorf("by exim -bh (-want +got): exit %d\n%s%s", code, diff, answers(rep))
			}
			if q, err := s.Queue(); err != nil || strings.TrimSpace(q) != "" || s.Relayed() > 0 {
				t.Errorf("mail was sent: %v %s", err, q)
			}
			t.Logf("FIGURE relaytest, %s: %d of %d forms found, by the network and by exim -bh", h.name, len(h.finds), len(rep.Forms))
		})
	}
}

func TestAClosedEximIsNotCalledOpen(t *testing.T) {
	closed := func(cfg rig.Config, changes ...[2]string) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			s := site(t, cfg)
			if changes != nil {
				dig(t, s, changes)
			}
			check(t, s.Start())
			rep := stranger(t, s)
			if taken := append(formsThat(rep, relaytest.Relays), formsThat(rep, relaytest.Accepted)...); rep.Verdict != relaytest.Closed || taken != nil {
				t.Errorf("over the network: %s, %s, %q\n%s", rep.Verdict, rep.Why, taken, answers(rep))
			}
			rep, code := played(t, s)
			if code != 0 || rep.Verdict != relaytest.Closed {
				t.Errorf("by exim -bh: exit %d, %s\n%s", code, rep.Why, answers(rep))
			}
			t.Logf("FIGURE relaytest, a closed Exim: 0 of %d forms relay, by the network and by exim -bh", len(rep.Forms))
		}
	}
	for _, flavour := range eximsnippets.Flavours() {
		t.Run(flavour, closed(rig.Config{Flavour: flavour, Without: true}))
	}
	t.Run("debian-split with the snippets", closed(rig.Config{Flavour: "debian-split"}))
	// Exim itself splits such an address before its ACL sees it, so that this is no hole since version 4.
	t.Run("percent_hack_domains = *", closed(rig.Config{Flavour: "stock", Without: true}, withoutCheck,
		[2]string{"begin acl\n", "percent_hack_domains = *\nbegin acl\n"}))
}

func TestAHoleIsFoundThoughADaemonGuardsTheServer(t *testing.T) {
	t.Parallel()
	s := site(t, rig.Config{Flavour: "stock"})
	dig(t, s, [][2]string{{"relay_to_domains =\n", "relay_to_domains = *" + rig.Domain + "\n"}})
	check(t, s.Start())
	daemon(t, s, guarded)
	if rep := stranger(t, s); rep.Verdict != relaytest.Open || rep.Count(relaytest.Relays) != 1 {
		t.Errorf("over the network: %s: %s\n%s", rep.Verdict, rep.Why, answers(rep))
	}
	if rep, code := played(t, s); rep.Verdict != relaytest.Open || code != 1 {
		t.Errorf("by exim -bh: exit %d, %s: %s\n%s", code, rep.Verdict, rep.Why, answers(rep))
	}
}

func TestAConfigurationIsTestedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	s := site(t, rig.Config{Flavour: "stock", Without: true})
	etc := filepath.Join(s.Dir(), "etc-exim4")
	used, err := os.ReadFile(filepath.Join(etc, "exim4.conf"))
	check(t, err)
	dig(t, s, holes()[0].changes)
	check(t, os.Rename(filepath.Join(etc, "exim4.conf"), filepath.Join(etc, "next.conf")))
	check(t, os.WriteFile(filepath.Join(etc, "exim4.conf"), used, 0o644))
	if rep, code := played(t, s, "--config", "/etc/exim4/next.conf"); code != 1 || rep.Verdict != relaytest.Open {
		t.Errorf("the next one: exit %d, %s\n%s", code, rep.Why, answers(rep))
	}
	if rep, code := played(t, s); code != 0 || rep.Verdict != relaytest.Closed {
		t.Errorf("the one in use: exit %d, %s\n%s", code, rep.Why, answers(rep))
	}
	if rep, code := played(t, s, "--client", "127.0.0.1"); code != 69 || rep.Verdict != relaytest.Permitted {
		t.Errorf("as the server itself: exit %d, %s\n%s", code, rep.Why, answers(rep))
	}
	// In the site's folder below /tmp anybody could have put one in its place.
	out, err := s.Run(binary(t), "relaytest", "--exim", "--config", filepath.Join(etc, "next.conf"))
	if err == nil || !strings.Contains(out, "can be changed by others than root") {
		t.Errorf("%v: %s", err, out)
	}
}

// fromHere runs relaytest against a site's listener as an administrator of that machine would, and returns all it printed.
func fromHere(t *testing.T, s *rig.Site, flags ...string) (string, int) {
	t.Helper()
	out, err := s.Run(append([]string{binary(t), "relaytest", s.Addr(), "--pace", "0s"}, flags...)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out, exit.ExitCode()
	}
	check(t, err)
	return out, 0
}

func TestATestFromTheServerItselfInventsNoHole(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock", Without: true})
	out, code := fromHere(t, s)
	for _, want := range []string{"\nstranger               allowed   250 Accepted\n", "\npermitted: 127.0.0.1 may relay", "proves nothing", "--exim"} {
		if code != 69 || !strings.Contains(out, want) {
			t.Errorf("exit %d, without %q:\n%s", code, want, out)
		}
	}
	if strings.Contains(out, "open relay") || strings.Contains(out, "relays") || strings.Contains(out, "percent hack") {
		t.Errorf("it went on:\n%s", out)
	}
}

// deafToItself takes away the right of the server's own machine, so that a test from there is as good as any.
var deafToItself = [2]string{"relay_from_hosts = <; localhost", "relay_from_hosts ="}

func TestAMessageShowsByWhichFormItCame(t *testing.T) {
	t.Parallel()
	s := site(t, rig.Config{Flavour: "stock", Without: true})
	dig(t, s, append(slices.Clone(holes()[4].changes), deafToItself))
	check(t, s.Start())
	out, code := fromHere(t, s)
	if code != 1 || !strings.Contains(out, "open: 7 of 46 forms relay") || strings.Contains(s.Mainlog(), " <= ") {
		t.Errorf("without --deliver: exit %d, %s\n%s", code, out, s.Mainlog())
	}
	out, code = fromHere(t, s, "--deliver", "me@"+rig.Foreign)
	_, token, _ := strings.Cut(out, "sent: look for ")
	token, _, _ = strings.Cut(token, " ")
	const sent = 5 // the lookalike domain and the other recipient in UTF-8 are nobody's
	check(t, s.AwaitRelayed(sent))
	box := s.Outbox()
	if code != 1 || token == "" || strings.Count(box, "Subject: relay test "+token+": ") != sent || s.Relayed() != sent {
		t.Errorf("exit %d, token %q\n%s\n%s", code, token, out, box)
	}
	for _, form := range bounces {
		if stray := form == "lookalike domain" || form == "UTF-8 local part"; strings.Contains(box, token+": "+form+"\n") == stray {
			t.Errorf("%s: sent is %v in\n%s", form, stray, box)
		}
	}
}
