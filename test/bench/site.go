package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// insidePeers is the hidden first argument with which this program is inside the peers' network name space.
const insidePeers = "inside-peers"

// isolated runs this program again in a network name space of its own, where no packet can leave the machine, and in a
// mount name space where resolv.conf names a server there. Its table comes out as ours.
func isolated(ctx context.Context, b *bench, flags ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := append([]string{"--net", "--mount", "--propagation", "private", "--", self, insidePeers, b.dir}, flags...)
	cmd := exec.CommandContext(ctx, "unshare", argv...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// enter makes the name spaces that we are in what isolated promises.
func enter(b *bench) error {
	if err := loopbackUp(); err != nil {
		return err
	}
	resolv := filepath.Join(b.dir, "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(resolv, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot put a file over /etc/resolv.conf: %w", err)
	}
	return nil
}

// loopbackUp switches the loopback interface on, and fails where there is another one: then we are not where we should be.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("cannot switch on the loopback interface: %w", err)
	}
	routes, err := os.ReadFile("/proc/thread-self/net/route")
	if err != nil {
		return err
	}
	if n := bytes.Count(routes, []byte("\n")); n > 1 {
		return fmt.Errorf("this network name space has %d routes, and should have none", n-1)
	}
	return nil
}

// site is where one program runs: a folder, and a process name space whose end is the end of all its processes. That is
// also how their memory is found: some of them fork twice and take another name.
type site struct {
	dir   string
	ctx   context.Context
	cmd   *exec.Cmd
	stdin io.Closer
}

// newSite makes the folder, which user nobody may write.
func newSite(ctx context.Context, b *bench, name string) (*site, error) {
	s := &site{dir: filepath.Join(b.dir, "of-"+name), ctx: ctx}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	return s, os.Chown(s.dir, nobody, nogroup)
}

// The user of whatever has no better one.
const nobody, nogroup = 65534, 65534

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string) error { return os.WriteFile(s.path(name), []byte(text), 0o644) }

// holder is process 1 of the name space. It ends with its input, that is with us at the latest, and the kernel ends the
// rest.
const holder = `"$@" </dev/null & cat >/dev/null`

// run starts a program in the name space.
func (s *site) run(argv ...string) error {
	out, err := os.Create(s.path("output"))
	if err != nil {
		return err
	}
	defer out.Close()
	s.cmd = exec.CommandContext(s.ctx, "unshare", append([]string{"--pid", "--fork", "--kill-child", "--", "sh", "-c", holder, "sh"}, argv...)...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.Dir = s.dir
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	return s.cmd.Start()
}

func (s *site) output() string {
	b, err := os.ReadFile(s.path("output"))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}

func (s *site) end() error {
	if s.cmd == nil || s.cmd.Process == nil {
		return nil
	}
	err := s.stdin.Close()
	if wait := s.cmd.Wait(); wait != nil && s.ctx.Err() == nil {
		err = errors.Join(err, wait)
	}
	return err
}

// pids are the processes of the name space but the shell that holds it.
func (s *site) pids() ([]int, error) {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	first := strings.TrimSpace(string(children))
	space, err := os.Readlink("/proc/" + first + "/ns/pid")
	if err != nil {
		return nil, err
	}
	all, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range all {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || e.Name() == first {
			continue
		}
		if other, err := os.Readlink("/proc/" + e.Name() + "/ns/pid"); err == nil && other == space {
			if cat, err := os.ReadFile("/proc/" + e.Name() + "/comm"); err == nil && string(cat) != "cat\n" {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// pss adds up the memory of all processes, in octets.
func (s *site) pss() (sum float64, err error) {
	pids, err := s.pids()
	if err != nil || len(pids) == 0 {
		return 0, errors.Join(err, fmt.Errorf("%d processes: %s", len(pids), s.output()))
	}
	for _, pid := range pids {
		m, err := memoryOf(pid)
		if err != nil {
			return 0, err
		}
		sum += m.pss
	}
	return sum, nil
}

// listServer is rbldnsd with eight lists.
type listServer struct{ *site }

const lists = 8

func listZone(i int) string { return fmt.Sprintf("l%d.dnsbl.example", i+1) }

// serveLists starts the lists on port 53 of an address: a client is in three of them or in none. All know the test entry
// of RFC 5782 5.
func serveLists(ctx context.Context, b *bench, at netip.Addr) (*listServer, error) {
	s, err := newSite(ctx, b, "rbldnsd-"+at.String())
	if err != nil {
		return nil, err
	}
	const head = "$SOA 3600 ns.dnsbl.example hostmaster.dnsbl.example 0 3600 600 86400 300\n$NS 3600 ns.dnsbl.example\n:127.0.0.2:listed\n127.0.0.2\n"
	const names = "$SOA 3600 ns.example.com hostmaster.example.com 0 3600 600 86400 300\n$NS 3600 ns.example.com\n" +
		"@ A 192.0.2.1\n@ MX 10 mta.example.com\nmta A 192.0.2.1\n"
	if err := errors.Join(s.write("some", head+"240.0.0.0/8\n"), s.write("none", head), s.write("names", names)); err != nil {
		return nil, err
	}
	argv := []string{"rbldnsd", "-n", "-q", "-c", "1", "-s", "counts", "-u", "nobody", "-w", s.dir, "-b", at.String() + "/53", "example.com:generic:names"}
	for i := range lists {
		file := "none"
		if i < 3 {
			file = "some"
		}
		argv = append(argv, listZone(i)+":ip4set:"+file)
	}
	l := &listServer{s}
	if err := s.run(argv...); err != nil {
		return nil, err
	}
	for range 100 {
		if _, err = l.counts(); err == nil {
			return l, nil
		}
	}
	return nil, errors.Join(err, l.end(), errors.New(s.output()))
}

// counts says how many questions each list has had by now. rbldnsd writes that down each second.
func (l *listServer) counts() ([]int, error) {
	time.Sleep(2100 * time.Millisecond)
	b, err := os.ReadFile(l.path("counts"))
	if err != nil {
		return nil, err
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	n := make([]int, lists)
	for i := range n {
		_, after, found := strings.Cut(all[len(all)-1], " "+listZone(i)+":")
		number, _, _ := strings.Cut(after, ":")
		if !found {
			return nil, fmt.Errorf("rbldnsd counts no %s", listZone(i))
		}
		if n[i], err = strconv.Atoi(number); err != nil {
			return nil, err
		}
	}
	return n, nil
}
