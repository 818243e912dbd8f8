package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Process is what the kernel tells about one process (proc_pid_status(5) and its neighbours). Pid and Started together
// name it; see [Started].
//
// UID, Parent, Exe and Dir are the kernel's word. Name and Args are the process's own: it may write into them whatever it
// wishes, line ends and escape sequences included, and so may whoever names a directory. Nothing here is cleaned.
type Process struct {
	PID, Parent int32
	Started     uint64 // clock ticks since boot
	UID         uint32 // the real uid: of a program that is setuid, the user's who started it
	Name        string // at most 15 octets
	Exe, Dir    string // "" if we may not know: another user's need CAP_SYS_PTRACE (ptrace(2), PTRACE_MODE_READ)
	Args        []string
	Cut         bool // Args were longer than maxArgs
}

const (
	// maxArgs bounds what is read of the arguments: a line of a screen many times over, and less than a page of memory.
	maxArgs = 4000
	// maxPath is PATH_MAX, below which the kernel keeps its answers: "/home/x (deleted)".
	maxPath = 4096
	// maxStatus holds /proc/PID/status up to Uid, its ninth line: the lines before it are short, but the name's, which is
	// 64 octets when each is escaped.
	maxStatus = 1024
	// maxChain is how many parents are looked at: a script behind a shell behind a cron job is four.
	maxChain = 16
)

// A Looker tells what a process is. A process that is gone is an error that is [os.ErrNotExist].
type Looker interface {
	Look(ctx context.Context, pid int32) (Process, error)
}

// Proc reads /proc with our own rights: everything of our own processes, and for root of all; else no Exe and no Dir.
// The arguments lie in the memory of the process: where that waits for a dead disk, a look hangs with it, whatever ctx says. The
// zero value is ready, and safe for concurrent use.
type Proc struct{}

// Look reads /proc/PID. All of it is of one process, even if another gets its number meanwhile.
func (Proc) Look(_ context.Context, pid int32) (Process, error) {
	p := Process{PID: pid, UID: NoUID}
	if pid <= 0 {
		return p, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	dir, err := again(func() (int, error) {
		return unix.Open("/proc/"+strconv.Itoa(int(pid)), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err == nil {
		err = errors.Join(p.read(dir), unix.Close(dir))
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		err = os.ErrNotExist
	}
	if err != nil {
		return Process{PID: pid, UID: NoUID}, fmt.Errorf("process %d: %w", pid, err)
	}
	return p, nil
}

// read fills p from the folder that dir is open on.
func (p *Process) read(dir int) error {
	var buf [maxPath]byte
	stat, err := readAt(dir, "stat", buf[:statSize])
	if err != nil {
		return err
	}
	var ok bool
	if p.Started, ok = startOf(stat); !ok {
		return errStat
	}
	status, err := readAt(dir, "status", buf[:maxStatus])
	if err != nil {
		return err
	}
	if !p.status(status) {
		return errStatus
	}
	args, err := readAt(dir, "cmdline", buf[:maxArgs+1])
	if err != nil {
		return err
	}
	p.Args, p.Cut = split(args)
	p.Exe, p.Dir = linkAt(dir, "exe", buf[:]), linkAt(dir, "cwd", buf[:])
	return nil
}

var errStatus = errors.New("/proc/PID/status is not understood")

// status takes name, parent and real uid. The kernel escapes a line end in the name, so lines are lines.
func (p *Process) status(text []byte) bool {
	seen := 0
	for line := range bytes.Lines(text) {
		key, value, found := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(":\t"))
		if !found {
			continue
		}
		switch string(key) {
		case "Name":
			p.Name = strings.NewReplacer(`\n`, "\n", `\\`, `\`).Replace(string(value))
			seen++
		case "PPid":
			n, err := strconv.ParseInt(string(value), 10, 32)
			if err != nil {
				return false
			}
			p.Parent = int32(n)
			seen++
		case "Uid":
			first, _, _ := bytes.Cut(value, []byte("\t"))
			n, err := strconv.ParseUint(string(first), 10, 32)
			if err != nil {
				return false
			}
			p.UID = uint32(n)
			return seen == 2
		}
	}
	return false
}

// split cuts what /proc/PID/cmdline holds into arguments, each of which ends in a NUL unless the process wrote over it.
func split(text []byte) (args []string, cut bool) {
	if len(text) > maxArgs {
		text, cut = text[:maxArgs], true
	}
	text = bytes.TrimSuffix(text, []byte{0})
	if len(text) == 0 {
		return nil, cut
	}
	return strings.Split(string(text), "\x00"), cut
}

// readAt reads what one read(2) gives of a file in a folder of /proc, or as many as fill buf: cmdline comes in pages.
func readAt(dir int, name string, buf []byte) ([]byte, error) {
	fd, err := again(func() (int, error) { return unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, err
	}
	n := 0
	for n < len(buf) && err == nil {
		var more int
		more, err = again(func() (int, error) { return unix.Read(fd, buf[n:]) })
		if more <= 0 {
			break
		}
		n += more
	}
	return buf[:n], errors.Join(err, unix.Close(fd))
}

// linkAt reads a link in a folder of /proc, or nothing if we may not.
func linkAt(dir int, name string, buf []byte) string {
	n, err := again(func() (int, error) { return unix.Readlinkat(dir, name, buf) })
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// Chain returns the parents of the process pid, the nearest first, as far as they belong to uid: where the uid changes
// stands whoever started the user's program (a web server, cron, su), which is not the user's doing. A parent that is
// gone ends the chain as well, for the process then has another, and so does one that is younger than its child. Process 1
// is nobody's script. It is empty if nothing is known.
//
// The uid is the one that Exim or the kernel named, never that of a process found here: Exim's own has Exim's by then.
func Chain(ctx context.Context, look Looker, pid int32, uid uint32) []Process {
	child, err := look.Look(ctx, pid)
	var chain []Process
	for err == nil && child.Parent > 1 && len(chain) < maxChain {
		var parent Process
		parent, err = look.Look(ctx, child.Parent)
		if err != nil || parent.UID != uid || uid == NoUID || parent.Started > child.Started {
			break
		}
		chain = append(chain, parent)
		child = parent
	}
	return chain
}

// Script returns the file that the process runs: of an interpreter the first argument that is neither an option nor an
// option's value, else the program itself. A name without a directory is looked for where the process stands, which is a guess;
// "" says that nothing is known, or that the text of the script is an argument (sh -c, perl -e). For who reads it, not for a
// decision: arguments are the process's own word.
func (p *Process) Script() string {
	l, is := interpreter(path.Base(p.program()))
	if !is {
		return p.program()
	}
	script := l.script(p.Args[min(1, len(p.Args)):])
	if script == "" || path.IsAbs(script) || p.Dir == "" {
		return script
	}
	return path.Join(p.Dir, script)
}

// program is what the kernel says runs, or else what the process calls itself.
func (p *Process) program() string {
	switch {
	case p.Exe != "":
		return strings.TrimSuffix(p.Exe, " (deleted)")
	case len(p.Args) > 0:
		return p.Args[0]
	}
	return p.Name
}

// A language is how an interpreter's command line is read: by letters of options.
type language struct {
	value string // the next argument is the option's, if nothing is behind the letter
	code  string // the script is the option's text
	file  string // the script is the option's file
}

// interpreter returns the language of a program of this name, if it runs a file: php, php8.2, php-cgi, python3.11, perl, sh.
func interpreter(name string) (language, bool) {
	name = strings.TrimRight(name, "0123456789.")
	switch strings.TrimSuffix(strings.TrimSuffix(name, "-cgi"), "-cli") {
	case "php", "lsphp":
		return language{value: "cdzgt", code: "rRBE", file: "fF"}, true
	case "python":
		return language{value: "WX", code: "cm"}, true
	case "perl":
		return language{value: "I", code: "eE"}, true
	case "ruby":
		return language{value: "IrEC", code: "e"}, true
	case "node":
		return language{value: "r", code: "ep"}, true
	case "lua":
		return language{value: "l", code: "e"}, true
	case "sh", "bash", "dash", "ash", "ksh", "zsh":
		return language{value: "oO", code: "c"}, true
	case "tclsh":
		return language{}, true
	}
	return language{}, false
}

// script returns the first argument that is the script's file, or "".
func (l *language) script(args []string) string {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "-":
			return ""
		case arg == "--":
			return first(args[i+1:])
		case !strings.HasPrefix(arg, "-") || len(arg) < 2:
			return arg
		case strings.HasPrefix(arg, "--"):
		case strings.ContainsRune(l.code, rune(arg[1])):
			return ""
		case strings.ContainsRune(l.file, rune(arg[1])) && len(arg) > 2:
			return arg[2:]
		case strings.ContainsRune(l.file, rune(arg[1])):
			return first(args[i+1:])
		case strings.ContainsRune(l.value, rune(arg[1])) && len(arg) == 2:
			i++
		}
	}
	return ""
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
