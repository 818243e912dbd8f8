package origin

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// restarted is a book as the next daemon finds it.
func restarted(t *testing.T, b *Book) *Book {
	t.Helper()
	var file bytes.Buffer
	if err := b.Save(&file); err != nil {
		t.Fatal(err)
	}
	next := &Book{}
	if _, damaged, err := next.Load(&file); err != nil || damaged > 0 {
		t.Fatalf("%d damaged, %v", damaged, err)
	}
	return next
}

func TestNamesOutliveARestartHoweverTheyAreSpelled(t *testing.T) {
	s := opened(t)
	for _, dir := range []string{"/home/site", "/x\nuid=0\naction=accept \"\\\r", "/\xff\xfe", "/\u202e\x1b[2J", strings.Repeat("\xff", 1024), "/a  b ", "/ä"} {
		m := aMail()
		m.Dir = dir
		stamp := parse(t, s.Stamp(m))
		before := s.Tell(stamp).Dir
		next := restarted(t, &s.Book)
		s.Book = Book{accounts: next.accounts, places: next.places}
		if after := s.Tell(stamp).Dir; after != before || after != escape(dir) || !printed(after) {
			t.Errorf("%q is %q, then %q", dir, before, after)
		}
	}
	if got := s.Tell(parse(t, s.Stamp(aMail()))); got.Account != "nobody" || got.UID == nil || *got.UID != 65534 {
		t.Errorf("%+v", got)
	}
}

func TestABookHasItsBounds(t *testing.T) {
	b := &Book{}
	name := func(i int) Name {
		return Name{Token: fmt.Sprint("t", i), Kind: kindDirectory, Text: fmt.Sprintf("/%d", i), Seen: made}
	}
	for i := range maxPlaces {
		b.note(name(i))
	}
	b.note(name(0)) // it is seen again, so another is the oldest
	b.note(name(maxPlaces))
	if _, ok := b.find("t0"); !ok {
		t.Error("a name that was just seen is forgotten")
	}
	if _, ok := b.find("t1"); ok || b.places.names.Len() != maxPlaces {
		t.Errorf("%d names", b.places.names.Len())
	}
	next := restarted(t, b)
	next.note(name(maxPlaces + 1))
	if _, ok := next.find("t2"); ok || next.places.names.Len() != maxPlaces {
		t.Error("after a restart another name is the oldest")
	}
	long := strings.Repeat("x", 4*maxText)
	for i := range maxPlaces {
		n := name(i)
		n.Text = long
		b.note(n)
		if b.places.octets > maxOctets+8*maxText {
			t.Fatalf("%d octets", b.places.octets)
		}
	}
	sum := 0
	for _, n := range b.places.names.Values() {
		sum += n.size()
	}
	if sum != b.places.octets || sum > maxOctets || sum < maxOctets-8*maxText {
		t.Errorf("%d octets, %d counted", sum, b.places.octets)
	}
	n := name(0)
	n.Text = long + "x"
	if b.note(n); b.places.names.Contains("t0") && b.places.octets != sum {
		t.Error("a text that is too long is kept")
	}
}

func TestAUserWhoInventsDirectoriesHasNoAccountForgotten(t *testing.T) {
	b := &Book{}
	b.note(Name{Token: "anna", Kind: kindAccount, Text: "anna", Seen: made})
	for i := range 2 * maxPlaces {
		b.note(Name{Token: fmt.Sprint("t", i), Kind: kindProgram, Text: strings.Repeat("x", i%maxText), Seen: made})
	}
	if n, ok := b.find("anna"); !ok || n.Text != "anna" {
		t.Error("the account is forgotten")
	}
	for i := range maxAccounts {
		b.note(Name{Token: fmt.Sprint("a", i), Kind: kindAccount, Text: "a", Seen: made})
	}
	if _, ok := b.find("anna"); ok || b.accounts.names.Len() != maxAccounts {
		t.Errorf("%d accounts", b.accounts.names.Len())
	}
}

func TestANameThatIsSeenAgainChangesTheFileOnceAnHour(t *testing.T) {
	b := &Book{}
	uid := uint32(1)
	n := Name{Token: "t", Kind: kindAccount, Text: "anna", UID: &uid, Seen: made}
	b.note(n)
	first := b.Edition()
	n.Seen = made.Add(seenRest - time.Second)
	if b.note(n); b.Edition() != first {
		t.Error("it is written again at once")
	}
	n.Seen = made.Add(seenRest)
	if b.note(n); b.Edition() == first {
		t.Error("it is never written again")
	}
	other := uint32(2) // the account was made anew
	n.UID = &other
	if b.note(n); b.accounts.octets != n.size() {
		t.Errorf("%d octets", b.accounts.octets)
	}
	if got, _ := b.find("t"); *got.UID != 2 {
		t.Errorf("uid %d", *got.UID)
	}
}

func TestDamagedLinesAreLeftOut(t *testing.T) {
	good := `{"token":"AAAA","kind":"account","text":"anna","uid":1000,"seen":"2026-11-25T19:12:31Z"}`
	for name, line := range map[string]string{
		"no JSON": "rubbish", "cut": good[:len(good)-5], "no token": strings.Replace(good, "AAAA", "", 1), "a token with a blank": strings.Replace(good, "AAAA", "A A", 1),
		"another kind": strings.Replace(good, "account", "host", 1), "no text": strings.Replace(good, "anna", "", 1),
		"a text that a terminal obeys": strings.Replace(good, "anna", `\u001b[2J`, 1), "a text that is too long": strings.Replace(good, "anna", strings.Repeat("a", 4*maxText+1), 1),
		"an array": "[]", "an empty line": "",
	} {
		b := &Book{}
		taken, damaged, err := b.Load(strings.NewReader(good + "\n" + line + "\n" + strings.Replace(good, "AAAA", "BBBB", 1) + "\n"))
		if taken != 2 || damaged != 1 || err != nil || b.accounts.names.Len() != 2 {
			t.Errorf("%s: %d taken, %d damaged, %v", name, taken, damaged, err)
		}
	}
	b := &Book{}
	if taken, damaged, err := b.Load(strings.NewReader(good + "\n" + strings.Repeat("x", 1<<20))); taken != 1 || damaged != 1 || err != nil {
		t.Errorf("%d %d %v", taken, damaged, err)
	}
	if _, _, err := b.Load(iotest.ErrReader(errors.New("the disk fails"))); err == nil {
		t.Error("a disk that fails is not told of")
	}
}

func TestAForgottenAccountIsNoLongerTold(t *testing.T) {
	s := opened(t)
	stamp := parse(t, s.Stamp(aMail()))
	anna := aMail()
	anna.Account, anna.UID = "anna@example.org", nil
	other := parse(t, s.Stamp(anna))
	if n := s.Book.Forget("nobody"); n != 1 {
		t.Errorf("%d", n)
	}
	if got := s.Tell(stamp); !got.Sealed || got.Account != "" || got.UID != nil || got.Dir == "" {
		t.Errorf("%+v", got)
	}
	if s.Tell(other).Account != "anna@example.org" || s.Book.Forget("65534") != 0 || (&Book{}).Forget("x") != 0 {
		t.Error("another is forgotten")
	}
	s.Stamp(aMail())
	if s.Book.Forget("65534") != 1 {
		t.Error("an account is not found by its uid")
	}
}
