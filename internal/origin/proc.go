package origin

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// statSize holds /proc/PID/stat up to its field 22, whatever the numbers are: pid 7, name 64 and its brackets, state 1,
// nine numbers of 32 bits (11 octets each), ten of 64 bits (20 each), and a blank behind each of the 22: below 400.
const statSize = 512

// Places of flags and starttime (proc_pid_stat(5): fields 9 and 22) counted from the state (field 3), the first field
// behind the process's name.
const (
	flagsField = 9 - 3
	startField = 22 - 3
)

// forkNoExec is the flag of a process that has not called exec(2) since fork(2) made it (PF_FORKNOEXEC of linux/sched.h).
const forkNoExec = 0x40

var errStat = errors.New("/proc/PID/stat is not understood")

// Started returns when the process pid started, in clock ticks (USER_HZ, 1/100 s) since boot. Pid and start together
// name a process for as long as the host is up; exec(2) changes neither. A zombie has still started.
//
// A process that is gone is an error that is [os.ErrNotExist], and so is one that /proc hides from us (mounted with
// hidepid=2; ProtectProc=invisible of systemd.exec(5)). Three system calls, no waiting. Safe for concurrent use.
func Started(pid int32) (uint64, error) { return statField(pid, startField) }

// Forked reports whether a process goes on with the program of the one that forked it. One that a user has started, and be
// it setuid, is not forked, whatever his other processes do. Errors and costs are those of [Started].
func Forked(pid int32) (bool, error) {
	flags, err := statField(pid, flagsField)
	return flags&forkNoExec != 0, err
}

// statField reads one number of /proc/PID/stat.
func statField(pid int32, field int) (uint64, error) {
	if pid <= 0 {
		return 0, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	var buf [statSize]byte
	path := append(buf[:0], "/proc/"...)
	path = strconv.AppendInt(path, int64(pid), 10)
	path = append(path, "/stat"...)
	n, err := readOnce(string(path), buf[:])
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH): // ESRCH: it went between open and read
		return 0, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	case err != nil:
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	value, ok := fieldOf(buf[:n], field)
	if !ok {
		return 0, fmt.Errorf("process %d: %w", pid, errStat)
	}
	return value, nil
}

// startOf returns starttime from the text of a /proc/PID/stat.
func startOf(stat []byte) (start uint64, ok bool) { return fieldOf(stat, startField) }

// fieldOf returns a number from the text of a /proc/PID/stat. The name in brackets is whatever the process wishes,
// brackets, blanks and line feeds included, and it is not quoted; but behind it there are only numbers and one
// letter, so the last closing bracket is where the name ends.
func fieldOf(stat []byte, field int) (value uint64, ok bool) {
	name := bytes.LastIndexByte(stat, ')')
	if name < 0 || name+2 > len(stat) {
		return 0, false
	}
	rest := stat[name+2:]
	for range field {
		blank := bytes.IndexByte(rest, ' ')
		if blank < 0 {
			return 0, false
		}
		rest = rest[blank+1:]
	}
	end := bytes.IndexByte(rest, ' ') // a number cut off by the end of the buffer is no number
	if end < 0 {
		return 0, false
	}
	value, err := strconv.ParseUint(string(rest[:end]), 10, 64)
	return value, err == nil
}

// readOnce reads what one read(2) of the file gives. A file of /proc is made whole at the first read, so a second
// would find the end only. os.ReadFile would add a stat, a poll registration and a finalizer to each call.
func readOnce(path string, buf []byte) (int, error) {
	fd, err := again(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return 0, err
	}
	n, err := again(func() (int, error) { return unix.Read(fd, buf) })
	return n, errors.Join(err, unix.Close(fd))
}

// again repeats a system call for as long as a signal interrupts it.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
