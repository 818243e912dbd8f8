package control

import (
	"errors"
	"strings"
	"testing"

	"eximpolicyd/internal/ledger"
)

// stampsOf tells one field, and counts what else is asked.
type stampsOf struct {
	field     string
	origin    Origin
	rekeyed   int
	forgotten []string
	err       error // of the disk
}

func (s *stampsOf) Origin(field string) (Origin, error) {
	if field != s.field {
		return Origin{}, errors.New("no field")
	}
	return s.origin, nil
}

func (s *stampsOf) Rekey() (string, error) {
	s.rekeyed++
	return "0badcafe", s.err
}

func (s *stampsOf) Forget(account string) (int, error) {
	s.forgotten = append(s.forgotten, account)
	return 1, s.err
}

// refused asks what must be refused, and returns why.
func refused(t *testing.T, socket string, q Request) *Refusal {
	t.Helper()
	r := new(Refusal)
	var reply any
	if err := Ask(socket, q, &reply); !errors.As(err, &r) {
		t.Fatalf("%+v: %v %v", q, reply, err)
	}
	return r
}

func TestWhoseAStampIsIsToldAndAnotherKeyTaken(t *testing.T) {
	nothing, _ := serving(t, nil)
	for _, q := range []Request{{Request: Whose, Stamp: "v=1"}, {Request: Rekey}} {
		if r := refused(t, nothing, q); r.Kind != Failed {
			t.Errorf("%+v", r)
		}
	}
	uid := uint32(65534)
	s := &stampsOf{field: "v=1", origin: Origin{Known: true, Signed: true, Account: "nobody", UID: &uid, Directory: `/a\nb`}}
	socket, log := started(t, &Server{Stamps: s})
	if got := do[Origin](t, socket, Request{Request: Whose, Stamp: "v=1"}); !got.Signed || got.Account != "nobody" || *got.UID != 65534 || got.Directory != `/a\nb` {
		t.Errorf("%+v", got)
	}
	if r := refused(t, socket, Request{Request: Whose, Stamp: "v=2"}); r.Kind != Wrong || r.Text != "no field" {
		t.Errorf("%+v", r)
	}
	if r := refused(t, socket, Request{Request: Whose, Stamp: strings.Repeat("x", maxRequest)}); r.Kind != Wrong {
		t.Errorf("%+v", r)
	}
	if got := do[Rekeyed](t, socket, Request{Request: Rekey}); got.Key != "0badcafe" || s.rekeyed != 1 {
		t.Errorf("%+v", got)
	}
	s.err = errors.New("the disk is full")
	if r := refused(t, socket, Request{Request: Rekey}); r.Kind != Failed || r.Text != "the disk is full" {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(log.String(), "request=rekey") || strings.Contains(log.String(), "request=origin") {
		t.Errorf("what has changed is written down, and nothing else: %s", log)
	}
}

func TestWhoIsForgottenIsForgottenInStampsToo(t *testing.T) {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	s := &stampsOf{}
	socket, _ := started(t, &Server{Memory: memory, Refuses: refuses, Stamps: s})
	if got := do[Erased](t, socket, Request{Request: Forget, Account: "1000", Login: "anna"}); got.Names != 2 || got.Unsaved.Unsaved || strings.Join(s.forgotten, " ") != "1000 anna" {
		t.Errorf("%+v %q", got, s.forgotten)
	}
	s.err = errors.New("the disk is full")
	if got := do[Erased](t, socket, Request{Request: Forget, Account: "1000", Login: "1000"}); !got.Unsaved.Unsaved {
		t.Errorf("%+v", got)
	}
}
