package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// peek serves a helper whose callers may be those, and returns its socket.
func peek(t *testing.T, allowed ...uint32) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "p")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	p := Peek{Allowed: func(uid uint32) bool { return slices.Contains(allowed, uid) }, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket
}

func TestTheHelperTellsWhatItReadsItself(t *testing.T) {
	helper := Helper(peek(t, uint32(os.Getuid())))
	dir := filepath.Join(t.TempDir(), "x\ny\xff")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, pid := shell(t, dir, os.Getuid(), "read x; :", "", "a\nb\x01", "\xff")
	want, err := Proc{}.Look(t.Context(), pid)
	if err != nil {
		t.Fatal(err)
	}
	got, err := helper.Look(t.Context(), pid)
	if err != nil || cmp.Diff(want, got) != "" {
		t.Error(err, cmp.Diff(want, got))
	}
	if got.Dir != dir {
		t.Errorf("it stands in %q", got.Dir)
	}
	if _, err := helper.Look(t.Context(), -1); !errors.Is(err, os.ErrNotExist) {
		t.Error("a process that is not there:", err)
	}
}

func TestWithoutAHelperLessIsKnownAndItIsNoError(t *testing.T) {
	stale := filepath.Join(t.TempDir(), "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, h := range []Helper{"/nowhere/peek.sock", Helper(stale)} {
		p, err := h.Look(t.Context(), int32(os.Getpid()))
		if err != nil || p.Parent != int32(os.Getppid()) {
			t.Errorf("%s: %+v, %v", h, p, err)
		}
	}
}

// The test itself is root here, and so the helper; the one who asks is not.
func TestTheHelperTellsWhatOthersMayNotKnow(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to have a process of another user")
	}
	socket := peek(t, nobody)
	if err := errors.Join(os.Chmod(filepath.Dir(socket), 0o755), os.Chmod(filepath.Dir(filepath.Dir(socket)), 0o755), os.Chmod(socket, 0o666)); err != nil {
		t.Fatal(err)
	}
	_, pid := shell(t, "/", 0, "read x; :")
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	for helper, want := range map[string]string{
		"/nowhere": `"" "" 0 3 <nil>`,
		socket:     fmt.Sprintf("%q %q 0 3 <nil>", exe, "/"),
	} {
		if got := start(t, nobody, "look", helper, strconv.Itoa(int(pid))).line(t); got != want {
			t.Errorf("with %s nobody sees %s, not %s", helper, got, want)
		}
	}
}

func TestTheHelperAnswersNobodyElse(t *testing.T) {
	helper := Helper(peek(t, uint32(os.Getuid())+1))
	if p, err := helper.Look(t.Context(), int32(os.Getpid())); err == nil {
		t.Errorf("it told %+v", p)
	}
}

func TestTheHelperOutlivesItsCallers(t *testing.T) {
	socket := peek(t, uint32(os.Getuid()))
	for _, said := range []string{"", "\n", "1", "12345678901", "123456789012345678901234567890\n", "-1\n", "0x1\n", " 1\n", "1 2\n", "\x00\n", "99999999999\n"} {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, said); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		// A caller that has not been read to the end gets a reset, which is an answer as well.
		if answer, err := io.ReadAll(c); err == nil && strings.HasPrefix(string(answer), "ok") {
			t.Errorf("%q got %q", said, answer)
		}
		c.Close()
	}
	hung, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	if answer, err := io.ReadAll(hung); err != nil || len(answer) != 0 {
		t.Errorf("who says nothing got %q, %v", answer, err)
	}
	if _, err := Helper(socket).Look(t.Context(), int32(os.Getpid())); err != nil {
		t.Error(err)
	}
}

func TestAnAnswerThatIsNoneIsAnError(t *testing.T) {
	good := string(reply(&Process{PID: 7, UID: 33, Name: "x"}, nil))
	for name, text := range map[string]string{
		"nothing":              "",
		"half an answer":       good[:len(good)-1],
		"of another process":   strings.Replace(good, "7", "8", 1),
		"no number":            strings.Replace(good, "33", "root", 1),
		"too few fields":       "ok\x007\x001\x002\x0033\x00false\x00x\x00y\x00",
		"gone, and more":       "gone\x00x\x00",
		"an error":             "error\x00no\x00",
		"an unknown word":      "fine\x00",
		"a uid above 32 bits":  strings.Replace(good, "33", "4294967296", 1),
		"a pid above 31 bits":  strings.Replace(good, "7", "4294967303", 1),
		"a truth that is none": strings.Replace(good, "false", "maybe", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := process(7, []byte(text)); err == nil || p.UID != NoUID {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

func FuzzPeek(f *testing.F) {
	f.Add([]byte("ok\x007\x001\x002\x0033\x00false\x00php\x00/usr/bin/php\x00/home/a\x00php\x00x.php\x00"))
	f.Add([]byte("gone\x00"))
	f.Add([]byte("error\x00why\x00"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		p, err := process(7, answer)
		if err != nil {
			return
		}
		again, err := process(7, reply(&p, nil))
		if err != nil || cmp.Diff(p, again) != "" {
			t.Errorf("%q: %+v becomes %+v, %v", answer, p, again, err)
		}
	})
}
