package relaytest

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRootRunsNoEximThatSomebodyElseCouldHaveWritten(t *testing.T) {
	root := t.TempDir() // below /tmp, where everybody may write
	file := filepath.Join(root, "exim")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := onlyRoots(file); err == nil {
		t.Error("a file below /tmp")
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink("/bin/false", link); err != nil {
		t.Fatal(err)
	}
	e := &Exim{Path: link, Client: netip.MustParseAddr("192.0.2.1")}
	if err := e.Check(); err != nil || e.Path == link {
		t.Errorf("a link to a system's program: %v, %s", err, e.Path)
	}
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := onlyRoots(sh); err != nil {
		t.Errorf("a system's program: %v", err)
	}
	for _, e := range []*Exim{{Path: filepath.Join(root, "none"), Client: netip.MustParseAddr("192.0.2.1")}, {Path: sh},
		{Path: sh, Client: netip.MustParseAddr("fe80::1%lo")}, {Path: sh, Config: filepath.Join(root, "none"), Client: netip.MustParseAddr("192.0.2.1")}} {
		if e.Check() == nil {
			t.Errorf("%+v", e)
		}
	}
	if os.Geteuid() == 0 {
		for _, e := range []*Exim{{Path: file}, {Path: sh, Config: file}} {
			e.Client = netip.MustParseAddr("192.0.2.1")
			if err := e.Check(); err == nil || !strings.Contains(err.Error(), "can be changed by others than root") {
				t.Errorf("%+v: %v", e, err)
			}
		}
	}
}

func TestAnEximThatSaysNothingIsToldOf(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"/bin/false", "connect: /bin/false -bh says nothing:"},
		{"/bin/cat", "connect: /bin/cat -bh says nothing: /bin/cat: invalid option"},
		{"/none", "connect: fork/exec /none: no such file"},
	} {
		e := &Exim{Path: c.path, Client: netip.MustParseAddr("192.0.2.1")}
		o := options(e.Dial)
		o.Pace = 0
		rep, err := Test(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Verdict != Untested || !strings.Contains(rep.Why, c.want) {
			t.Errorf("%s: %s: %s", c.path, rep.Verdict, rep.Why)
		}
	}
}

// FuzzTheCommentaryOfExim wants each line that begins with a digit, whole and in order, and nothing else.
func FuzzTheCommentaryOfExim(f *testing.F) {
	f.Add([]byte("\n**** SMTP testing session as if from host 192.0.2.1\n**** This is not for real!\n\n220 vm ESMTP\r\n250-vm\r\n250 HELP\r\n"))
	f.Add([]byte("*" + strings.Repeat("2", 5000) + "\n2" + strings.Repeat("x", 9000) + "\r\n\n2"))
	f.Fuzz(func(t *testing.T, said []byte) {
		var want []byte
		for _, line := range bytes.SplitAfter(said, []byte("\n")) {
			if len(line) > 0 && line[0] >= '0' && line[0] <= '9' && line[len(line)-1] == '\n' {
				want = append(want, line...)
			}
		}
		for _, from := range []io.Reader{bytes.NewReader(said), iotest.OneByteReader(bytes.NewReader(said))} {
			b := &batch{in: bufio.NewReaderSize(from, 16), greeted: true}
			got, err := io.ReadAll(iotest.OneByteReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if i := bytes.LastIndexByte(got, '\n'); !slices.Equal(got[:i+1], want) {
				t.Errorf("%q: %q, not %q", said, got, want)
			}
		}
	})
}
