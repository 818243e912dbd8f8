package ledger

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// fsyncChild bans on a disk that may fail to sync, and says of each ban whether it is durable. It ends without Close.
func fsyncChild() error {
	log := new(lines)
	e, err := Open(Options{Dir: os.Args[1], Log: log.log()})
	if err != nil {
		return err
	}
	for n := range 40 {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
		b, made, err := e.Offend(context.Background(), Offence{Network: netip.PrefixFrom(a, 32), Enforced: true, Rule: "dictionary.window"})
		if err != nil || !made {
			return fmt.Errorf("%+v, %v", b, err)
		}
		if s, err := e.Standing(context.Background(), a); err != nil || s.Enforced == nil {
			return fmt.Errorf("%s is not banned: %v", a, err)
		}
		fmt.Println("ban", b.Network, b.Durable)
	}
	s := e.State()
	if !strings.Contains(s.Fix, "the kernel's log") || strings.Count(log.String(), "level=ERROR") != 1 {
		return fmt.Errorf("the state says %+v, the log\n%s", s, log)
	}
	return nil
}

// traced runs fsyncChild with syncs that fail from one on, and returns which bans it called durable.
func traced(t *testing.T, dir string, from int) (durable []string) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("there is no strace")
	}
	const syncs = "fsync,fdatasync,msync"
	child := exec.Command(strace, "-f", "-qq", "-o", dir+".trace", "-e", "trace="+syncs, "-e",
		fmt.Sprintf("inject=%s:error=EIO:when=%d+", syncs, from), os.Args[0], dir)
	child.Env = append(os.Environ(), childOf+"=fsync")
	out, err := child.CombinedOutput()
	if strings.Contains(string(out), "PTRACE") || strings.Contains(string(out), "ptrace") {
		t.Skip("nothing may be traced here: " + string(out))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for text := range strings.Lines(string(out)) {
		var network string
		var is bool
		if _, err := fmt.Sscanf(text, "ban %s %t", &network, &is); err != nil {
			t.Fatalf("it says %q", text)
		}
		if is {
			durable = append(durable, network)
		}
	}
	return durable
}

func TestNothingIsDurableOnADiskThatCannotSync(t *testing.T) {
	if durable := traced(t, t.TempDir(), 1); len(durable) > 0 {
		t.Errorf("%s are called durable", durable)
	}
	t.Log("FIGURE fsync fails: 40 bans in force, 0 called durable")
}

func TestWhatWasDurableBeforeTheDiskFailedIsThere(t *testing.T) {
	t.Parallel()
	for _, from := range []int{10, 15, 20, 25, 30} {
		dir := t.TempDir()
		durable := traced(t, dir, from)
		if len(durable) == 0 || len(durable) == 40 {
			t.Errorf("from sync %d on: %d of 40 are durable", from, len(durable))
		}
		e := open(t, Options{Dir: dir})
		if s := e.State(); s.Fault != "" || len(s.Aside) > 0 {
			t.Errorf("from sync %d on: %+v", from, s)
		}
		there := map[string]bool{}
		for _, b := range e.Bans() {
			there[b.Network.String()] = true
		}
		for _, n := range durable {
			if !there[n] {
				t.Errorf("from sync %d on: %s was durable and is lost", from, n)
			}
		}
	}
}
