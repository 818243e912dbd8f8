package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/dnstest"
	"eximpolicyd/test/rig"
)

// A failure is what the server of a list does, and the state that the list must be found in.
type failure struct {
	name  string
	act   dnstest.Act
	state string
}

func always(address string) dnstest.Act { return dnstest.Always(netip.MustParseAddr(address)) }

// answersThatLie are answers that hold, and mean no listing.
func answersThatLie() []failure {
	return []failure{
		{"typing", dnstest.ErrorCode(252), "error-code"},
		{"public", dnstest.ErrorCode(254), "error-code"},
		{"quota", dnstest.ErrorCode(255), "error-code"},
		{"one", always("127.0.0.1"), "error-code"},
		{"world", dnstest.World, "world"},
		{"chain", dnstest.CNAMEChain(3), "world"},
		{"inert", dnstest.Inert, "inert"},
		{"stranger", dnstest.Stranger, "inert"},
		{"elsewhere", dnstest.CNAMEElsewhere, "inert"},
		{"public-address", always("192.0.2.80"), "hijacked"},
	}
}

// noAnswers are packets that are no answer, or none of use.
func noAnswers() []failure {
	list := []failure{}
	for name, act := range map[string]dnstest.Act{
		"silent": dnstest.Silent, "servfail": dnstest.ServFail, "refused": dnstest.Refused, "formerr": dnstest.FormErrAlways,
		"notimp": dnstest.NotImplemented, "wrong-question": dnstest.WrongQuestion, "no-question": dnstest.NoQuestion,
		"two-questions": dnstest.TwoQuestions, "query": dnstest.QueryAsAnswer, "wrong-id": dnstest.WrongID,
		"wrong-type": dnstest.WrongType, "wrong-class": dnstest.WrongClass, "wrong-opcode": dnstest.WrongOpcode,
		"garbage": dnstest.Garbage, "foreign-garbage": dnstest.ForeignGarbage, "three-bytes": dnstest.ThreeBytes,
		"empty": dnstest.EmptyPacket, "other-case": dnstest.OtherCase, "cut-off": dnstest.CutOff,
		"truncated": dnstest.TruncatedNoTCP, "loop": dnstest.CNAMELoop, "self": dnstest.CNAMESelf,
		"other-port": dnstest.Elsewhere(dnstest.World), "late": dnstest.Late(20*time.Second, dnstest.World),
	} {
		list = append(list, failure{name, act, "timeout"})
	}
	return list
}

// healed are failures that an asker gets over: the right answer comes as well.
func healed() []failure {
	return []failure{
		{"forged-before", dnstest.Then(dnstest.WrongID, dnstest.WrongQuestion, dnstest.Garbage, dnstest.ThreeBytes, dnstest.Plain), "ok"},
		{"other-case-before", dnstest.Then(dnstest.OtherCase, dnstest.Plain), "ok"},
		{"old-server", dnstest.FormErrOnEDNS, "ok"},
		{"forged-and-over-tcp", dnstest.TruncatedForged, "ok"},
		{"twice", dnstest.Twice, "ok"},
	}
}

// flooding is one more of them, by itself: where its packets fill the socket, the answers of other lists may be lost.
func flooding() []failure { return []failure{{"junk", dnstest.ManyJunk(50), "ok"}} }

// TestEveryFailureOfAListRefusesNobodyAndIsReported has a scripted server play each failure for a list of its own, beside
// a healthy one. All of them would list the client.
func TestEveryFailureOfAListRefusesNobodyAndIsReported(t *testing.T) {
	t.Parallel()
	s := started(t, rig.Config{Flavour: "stock"})
	for name, failures := range map[string][]failure{
		"answers that lie": answersThatLie(), "no answers": noAnswers(), "healed": healed(), "flooding": flooding(),
	} {
		srv := scripted(t)
		if err := srv.List("bl.example", false, "203.0.113.7"); err != nil {
			t.Fatal(err)
		}
		zones := []string{"bl.example*5"}
		for _, f := range failures {
			zone := f.name + ".example"
			if err := srv.List(zone, false, "203.0.113.7"); err != nil {
				t.Fatal(err)
			}
			srv.Play(zone, f.act)
			zones = append(zones, zone+"*0.1")
		}
		p := daemon(t, s, rig.Resolver(srv.Addr())+enforcingLists(zones...))
		states := listsAreTested(t, p, len(zones))
		well := 0
		for _, f := range failures {
			if f.state == "ok" {
				well++
			}
			if h := states[f.name+".example"]; h.State != f.state || (h.Level == "INFO") != (f.state == "ok") {
				t.Errorf("%s: %s: %+v, want %s", name, f.name, h, f.state)
			}
		}
		if r := rcpt(t, s, "203.0.113.7", "mx.example.org"); r.Code != 550 || !strings.Contains(unfolded(r), "listed by bl.example") {
			t.Errorf("%s: the healthy list does not decide: %q", name, r.Text)
		}
		one := decided(t, p, "RCPT", "of the listed client", ofClient("203.0.113.7"))
		if want := fmt.Sprintf("together 5.%d", well); !strings.Contains(one.Reason, want) {
			t.Errorf("%s: %s, want %s: what is well counts and nothing else", name, one.Reason, want)
		}
		for i := range 5 {
			if r := rcpt(t, s, fmt.Sprintf("203.0.113.%d", 100+i), "mx.example.org"); r.Code != 250 {
				t.Errorf("%s: refused: %q", name, r.Text)
			}
		}
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}
