package test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"eximpolicyd/test/rig"
)

// corpusConfig enforces every policy. The own domains are those that the corpus
// was delivered to; own.addresses makes the private address of a test machine
// no reason to observe only.
func corpusConfig(preset string) string {
	policies := ""
	for _, p := range []string{"helo", "messageid", "nobody"} {
		policies += "policy." + p + ".mode = \"enforce\"\npolicy." + p + ".preset = \"" + preset + "\"\n"
	}
	return policies + `
policy.messageid.date_ahead = 0
policy.messageid.date_old = 0
[own]
addresses = ["` + ownAddress + `"]
domains = ["spamassassin.taint.org", "taint.org", "netnoteinc.com", "slashnull.org"]
`
}

// corpusOrigin is what the extract says of one mail: its border hop and its Message-ID.
type corpusOrigin struct {
	File, Label, HELO, IP string
	Added                 bool `json:"mid_added_by_receiver"`
}

// sharedFolder is the folder with the data that is not part of the project.
func sharedFolder() string {
	if dir := os.Getenv("EXIMPOLICYD_SHARED"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "shared")
}

func gunzipped(t *testing.T, file string) io.Reader {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// corpusLetters reads the mails and their envelopes; left counts those left out, by reason.
func corpusLetters(t *testing.T) (letters []letter, left map[string]int) {
	t.Helper()
	dir := filepath.Join(sharedFolder(), "data", "mail")
	archive := filepath.Join(dir, "spamassassin-600ham-400spam.tar.gz")
	if _, err := os.Stat(archive); errors.Is(err, os.ErrNotExist) {
		t.Skipf("the real mails are not here: %s is missing; set EXIMPOLICYD_SHARED to the folder that has them", archive)
	}
	origins := map[string]corpusOrigin{}
	for decode := json.NewDecoder(gunzipped(t, filepath.Join(dir, "spamassassin-1.jsonl.gz"))); decode.More(); {
		var o corpusOrigin
		if err := decode.Decode(&o); err != nil {
			t.Fatal(err)
		}
		origins[o.Label+"/"+path.Base(o.File)] = o
	}
	left = map[string]int{}
	for r := tar.NewReader(gunzipped(t, archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return letters, left
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		o, known := origins[h.Name]
		switch {
		case !known:
			left["not in the extract"]++
		case o.IP == "" || o.HELO == "":
			left["no border hop: the mail never crossed a border"]++
		default:
			letters = append(letters, postedLetter(o, h.Name, string(raw)))
		}
	}
}

var (
	mailboxIn = regexp.MustCompile(`[^\s<>"]+@[^\s<>"]+`)
	mboxLine  = regexp.MustCompile(`^From .*\n`) // of the mbox file, not of the mail
	addedID   = regexp.MustCompile(`(?im)^message-id:.*\n([ \t].*\n)*`)
)

// postedLetter makes a letter of a mail of the corpus.
func postedLetter(o corpusOrigin, name, raw string) letter {
	l := letter{name: name, label: o.Label, client: o.IP, greetings: []string{o.HELO}, recipient: "alice@" + rig.Domain}
	l.text = mboxLine.ReplaceAllString(raw, "")
	if o.Added {
		head, body, _ := strings.Cut(l.text, "\n\n")
		l.text = addedID.ReplaceAllString(head+"\n", "") + "\n" + body
	}
	for _, f := range letterFields(l.text) {
		if strings.EqualFold(f.name, "return-path") {
			l.sender = mailboxIn.FindString(f.value)
			return l
		}
	}
	_, _, from := fieldFacts(letterFields(l.text), "from")
	l.sender = mailboxIn.FindString(from)
	return l
}

func TestRealMailIsJudgedInEximAsInCheck(t *testing.T) {
	letters, left := corpusLetters(t)
	s := started(t, rig.Config{Flavour: "stock", Queue: true, Main: "helo_accept_junk_hosts = *"})
	for reason, n := range left {
		t.Logf("FIGURE real mail: %d mails sent, %d left out: %s", len(letters), n, reason)
	}
	results := map[string][]letterVerdict{}
	for _, preset := range allPresets() {
		d := daemon(t, s, corpusConfig(preset))
		heard := sendLetters(t, letters, func(l *letter, port int) (smtpAnswer, error) { return l.send(s, port) })
		got := verdictsInExim(t, d, letters)
		want := verdictsInCheck(t, s, d.ConfigFile(), letters)
		for i := range letters {
			if diff := cmp.Diff(want[i], got[i], cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s: check (-) and Exim (+) differ:\n%s", preset, letters[i].name, diff)
			}
		}
		sameInFront(t, "real mail, "+preset, corpusConfig(preset), letters, got, (*letter).send)
		others := toldClients(t, letters, got, heard)
		for reason, n := range others {
			t.Logf("FIGURE %s: %d mails that no policy refused were refused by Exim's own configuration: %s", preset, n, reason)
		}
		results[preset] = got
	}
	if s.Paniclog() != "" || strings.Contains(s.Mainlog(), "no usable answer") {
		t.Errorf("paniclog %q", s.Paniclog())
	}
	corpusTable(t, letters, results)
	expectedFigures(t, letters, results)
}
