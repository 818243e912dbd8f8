package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fullChild mounts a small disk where nobody else sees it, fills it, makes room again, and says what it saw.
func fullChild() error {
	dir := os.Args[1]
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		fmt.Println("SKIP no tmpfs can be mounted:", err)
		return nil
	}
	ctx := context.Background()
	state, filler := filepath.Join(dir, "state"), filepath.Join(dir, "filler")
	log := new(lines)
	e, err := Open(Options{Dir: state, Log: log.log()})
	if err != nil {
		return err
	}
	n := 0
	ban := func() (Ban, error) {
		n++
		a := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		b, made, err := e.Offend(ctx, Offence{Network: netip.PrefixFrom(a, 32), Enforced: true, Rule: "dictionary.window"})
		if err == nil && !made {
			err = fmt.Errorf("%s was not banned", a)
		}
		return b, err
	}
	for range 50 {
		if b, err := ban(); err != nil || !b.Durable {
			return fmt.Errorf("before the disk is full: %+v, %v", b, err)
		}
	}
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("the disk is not full: %v", err)
	}
	for b := (Ban{Durable: true}); b.Durable; { // the file has some free pages
		if b, err = ban(); err != nil {
			return err
		}
		if n > 20_000 {
			return errors.New("20,000 bans are durable on a full disk")
		}
	}
	first := n
	for range 500 {
		if b, err := ban(); err != nil || b.Durable {
			return fmt.Errorf("on a full disk: %+v, %v", b, err)
		}
		if s, err := e.Standing(ctx, netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})); err != nil || s.Enforced == nil {
			return fmt.Errorf("on a full disk a ban is not in force: %+v, %v", s, err)
		}
	}
	if s := e.State(); s.Unsaved < 500 || !strings.Contains(s.Fix, "make room") || s.UnsavedSince.IsZero() {
		return fmt.Errorf("the state says %+v", s)
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	began := time.Now()
	for e.State().Unsaved > 0 {
		if time.Since(began) > time.Minute {
			return fmt.Errorf("a minute after there is room: %+v", e.State())
		}
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(began)
	if s := e.State(); s.Fault != "" || e.Close() != nil {
		return fmt.Errorf("after there is room: %+v", s)
	}
	if text := log.String(); strings.Count(text, "level=ERROR") != 1 || strings.Count(text, "level=INFO") != 1 {
		return fmt.Errorf("the log says other than once that there is no room, and that there is again:\n%s", text)
	}
	if e, err = Open(Options{Dir: state}); err != nil {
		return err
	}
	defer e.Close()
	for i, b := range e.Bans() {
		if !b.Durable {
			return fmt.Errorf("ban %d after a restart: %+v", i, b)
		}
	}
	if got := len(e.Bans()); got != n {
		return fmt.Errorf("%d bans after a restart, not %d", got, n)
	}
	fmt.Printf("FIGURE disk full: %d bans, %d made while it was full, 0 lost, saved %s after there was room\n", n, n-first+1, took.Round(10*time.Millisecond))
	return nil
}

// readOnlyChild makes bans on a disk that becomes read-only while no daemon runs, as after a fault, and then writable again.
func readOnlyChild() error {
	dir := os.Args[1]
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		fmt.Println("SKIP no tmpfs can be mounted:", err)
		return nil
	}
	state := filepath.Join(dir, "state")
	ban := func(e *Engine, network string) Ban {
		b, _, _ := e.Offend(context.Background(), offence(network, true))
		return b
	}
	e, err := Open(Options{Dir: state})
	if err != nil {
		return err
	}
	if b := ban(e, "192.0.2.1"); !b.Durable || e.Close() != nil {
		return fmt.Errorf("before: %+v", b)
	}
	if err := unix.Mount("none", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return err
	}
	log := new(lines)
	if e, err = Open(Options{Dir: state, Log: log.log()}); err != nil {
		return err
	}
	if second, err := Open(Options{Dir: state}); !errors.Is(err, ErrLocked) {
		return fmt.Errorf("a second engine on a read-only disk: %v, %v", second, err)
	}
	if s, _ := e.Standing(context.Background(), netip.MustParseAddr("192.0.2.1")); s.Enforced == nil {
		return fmt.Errorf("what is on the disk is not known: %+v", e.State())
	}
	if b, s := ban(e, "192.0.2.2"), e.State(); b.Durable || !strings.Contains(s.Fix, "mount") || strings.Count(log.String(), "level=ERROR") != 1 {
		return fmt.Errorf("%+v; %+v\n%s", b, s, log)
	}
	if err := unix.Mount("none", dir, "", unix.MS_REMOUNT, "size=1m"); err != nil {
		return err
	}
	if err := e.Close(); err != nil {
		return err
	}
	if e, err = Open(Options{Dir: state}); err != nil || len(e.Bans()) != 2 {
		return fmt.Errorf("after: %v, %+v", err, e)
	}
	return e.Close()
}

func TestBansGoOnWhileTheDiskIsFullAndAreSavedWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	t.Log(onOwnDisk(t, "full"))
}

func TestADiskThatIsReadOnlyIsReadAndSavedToWhenItCanBe(t *testing.T) {
	onOwnDisk(t, "readonly")
}

// onOwnDisk runs a child that mounts a disk which nobody else sees, and returns what it says.
func onOwnDisk(t *testing.T, name string) string {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a disk that is small enough")
	}
	child := exec.Command(os.Args[0], t.TempDir())
	child.Env = append(os.Environ(), childOf+"="+name)
	child.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := child.CombinedOutput()
	if reason, skip := strings.CutPrefix(string(out), "SKIP "); skip {
		t.Skip(reason)
	}
	if errors.Is(err, syscall.EPERM) {
		t.Skip("no mounts of one's own here:", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}
