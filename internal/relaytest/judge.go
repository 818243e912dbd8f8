package relaytest

import (
	"fmt"
	"net/netip"
	"slices"

	"eximpolicyd/internal/prose"
)

// Near reports whether a server may take a client for one of its own, and let it relay by right: loopback, both ends of the same
// machine, whose addresses own are, or of private networks (RFC 1918, RFC 4193). A private client of a server elsewhere is
// behind a gateway, and nobody here knows as whom the server sees it.
func Near(client, server netip.Addr, own []netip.Addr) bool {
	client, server = client.Unmap().WithZone(""), server.Unmap().WithZone("")
	private := client.IsPrivate() || client.IsLinkLocalUnicast()
	switch {
	case client.IsLoopback(), client == server:
		return true
	case slices.Contains(own, server):
		return private || slices.Contains(own, client)
	}
	return private && (server.IsPrivate() || server.IsLinkLocalUnicast())
}

// right reports whether a near client seems to relay by right: as a stranger, or by both senders that no check of senders
// stops. A hole for senders shows by one of them.
func (t *tester) right() bool {
	if !t.near() {
		return false
	}
	took := map[string]bool{}
	for _, r := range t.report.Forms {
		took[r.Form] = r.Result == Relays
	}
	first := Forms()
	return took[first[2].Name] || took[first[0].Name] && took[first[1].Name]
}

func (t *tester) near() bool { return Near(t.Client, t.Server, t.Own) }

// judge says what all answers mean; cut is why there are not more.
func (t *tester) judge(cut error) {
	r := &t.report
	r.Verdict, r.Why = t.verdict(cut)
	if t.near() && r.Verdict != Permitted {
		r.Remarks = append(r.Remarks, fmt.Sprintf("the server sees %s, which it may treat as one of its own: test it from elsewhere too", t.Client))
	}
	if t.noTLS {
		r.Remarks = append(r.Remarks, "STARTTLS failed, so that nothing was asked by TLS")
	}
	if t.noNull {
		r.Remarks = append(r.Remarks, "it refuses the null sender, which RFC 5321 4.5.5 has every server take: "+t.From+" stands for it")
	}
	if t.wary && r.Verdict != Open {
		r.Remarks = append(r.Remarks, "it refuses "+t.From+" as sender, which proves nothing of the recipient: try one that exists")
	}
}

func (t *tester) verdict(cut error) (Verdict, string) {
	r := &t.report
	missing := r.Count(Deferred) + r.Count(Failed)
	switch n := r.Count(Relays); {
	case t.permitted:
		return Permitted, fmt.Sprintf("%s may relay, whoever it says the sender is: that may be its right, and proves nothing about others", t.Client)
	case n > 0:
		return Open, fmt.Sprintf("%d of %s %s", n, prose.Many(len(r.Forms), "form"), prose.Form(n, "relays", "relay"))
	case cut != nil:
		return Untested, cut.Error()
	case len(r.Controls) > 0 && r.Controls[0].Result == Refused:
		return Untested, "it refuses its own postmaster@" + r.Domain + ", so that what it refuses proves nothing"
	case missing > 0:
		return Untested, fmt.Sprintf("%d of %s %s no answer: %d deferred, %d failed", missing, prose.Many(len(r.Forms), "form"), prose.Form(missing, "has", "have"), r.Count(Deferred), r.Count(Failed))
	case r.Count(Accepted) > 0:
		return Unclear, fmt.Sprintf("%d of %s %s of the server", r.Count(Accepted), prose.Many(len(r.Forms), "recipient"),
			prose.Form(r.Count(Accepted), "was taken that may be a mailbox", "were taken that may be mailboxes"))
	}
	return Closed, fmt.Sprintf("none of %d forms relays", len(r.Forms)-r.Count(Skipped))
}
