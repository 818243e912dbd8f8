package control

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
)

// kept are decisions by their ids, the oldest first.
type kept struct {
	list []acl.Explanation
	err  error
}

func (k *kept) Find(id string) (json.RawMessage, bool) {
	for _, x := range k.list {
		if x.ID == id {
			return lineOf(x), true
		}
	}
	return nil, false
}

func lineOf(x acl.Explanation) json.RawMessage {
	line, err := json.Marshal(x)
	if err != nil {
		return nil
	}
	return line
}

func (k *kept) Last(most int) (lines []json.RawMessage) {
	for _, x := range k.list[max(0, len(k.list)-most):] {
		lines = append(lines, lineOf(x))
	}
	return lines
}

func (k *kept) Forget(match func(*acl.Explanation) bool) (int, error) {
	before := len(k.list)
	k.list = slices.DeleteFunc(k.list, func(x acl.Explanation) bool { return match(&x) })
	return before - len(k.list), k.err
}

func (k *kept) Kept() (int, string) {
	if len(k.list) == 0 {
		return 0, ""
	}
	return len(k.list), k.list[0].ID
}

func TestADecisionIsExplainedByItsID(t *testing.T) {
	nothing, _ := serving(t, nil)
	if got := do[Explained](t, nothing, Request{Request: Explain, ID: "000000000A"}); got.Decision != nil || got.Kept != 0 {
		t.Errorf("%+v", got)
	}
	if got := lines[acl.Explanation](t, nothing, Request{Request: Recent, Last: 10}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	socket, _ := started(t, &Server{Decisions: &kept{list: []acl.Explanation{{ID: "000000000A", Rule: "<&>"}, {ID: "000000000B"}, {ID: "000000000C"}}}})
	got := do[Explained](t, socket, Request{Request: Explain, ID: "000000000A"})
	var x acl.Explanation
	if err := json.Unmarshal(got.Decision, &x); err != nil || x.Rule != "<&>" || got.Kept != 3 || got.Oldest != "000000000A" {
		t.Errorf("%v %+v", err, got)
	}
	if got := do[Explained](t, socket, Request{Request: Explain, ID: "000000000D"}); got.Decision != nil || got.Kept != 3 {
		t.Errorf("%+v", got)
	}
	if got := lines[acl.Explanation](t, socket, Request{Request: Recent, Last: 2}); len(got) != 2 || got[0].ID != "000000000B" || got[1].ID != "000000000C" {
		t.Errorf("%+v", got)
	}
}

func TestWhoIsForgottenIsForgottenInDecisionsToo(t *testing.T) {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	client := netip.MustParseAddr("192.0.2.7")
	k := &kept{list: []acl.Explanation{
		{ID: "000000000A", Client: client}, {ID: "000000000B", Client: netip.MustParseAddr("192.0.3.7")},
		{ID: "000000000C", Inputs: map[string]string{"uid": "1000"}}, {ID: "000000000D", Client: client.Next(), Inputs: map[string]string{"sasl_username": "anna"}},
		{ID: "000000000E"},
	}}
	socket, _ := started(t, &Server{Memory: memory, Refuses: refuses, Decisions: k})
	if got := do[Erased](t, socket, Request{Request: Forget, Account: "1000", Login: "anna"}); got.Decisions != 2 || got.Unsaved.Unsaved {
		t.Errorf("an account: %+v", got)
	}
	k.err = errors.New("the disk is full")
	if got := do[Erased](t, socket, Request{Request: Forget, Network: network("192.0.2.0/24")}); got.Decisions != 1 || !got.Unsaved.Unsaved {
		t.Errorf("a network: %+v", got)
	}
	if n, oldest := k.Kept(); n != 2 || oldest != "000000000B" {
		t.Errorf("%+v", k.list)
	}
}
