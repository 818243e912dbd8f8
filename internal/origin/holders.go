package origin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// maxDescriptors bounds what is read of one process: a million files is the kernel's own default bound (fs.nr_open).
const maxDescriptors = 1 << 20

// Holders returns which processes hold each of the sockets, by inode, the lowest pid first. Only root sees those of others;
// whole says that every process could be looked into. A process that ends meanwhile holds nothing.
//
// It walks through all files of all processes, which on a big host is a second's work: for an administrator who looks.
func Holders(inodes map[uint32]bool) (holders map[uint32][]int32, whole bool, err error) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, false, fmt.Errorf("processes: %w", err)
	}
	holders, whole = map[uint32][]int32{}, true
	for _, p := range processes {
		pid, err := strconv.ParseInt(p.Name(), 10, 32)
		if err != nil {
			continue
		}
		held, err := sockets("/proc/" + p.Name() + "/fd")
		if errors.Is(err, fs.ErrPermission) {
			whole = false
		}
		for _, inode := range held {
			if inodes[inode] && !slices.Contains(holders[inode], int32(pid)) {
				holders[inode] = append(holders[inode], int32(pid))
			}
		}
	}
	for _, pids := range holders {
		slices.Sort(pids)
	}
	return holders, whole, nil
}

// sockets returns the inodes of the sockets among the open files in a folder /proc/PID/fd.
func sockets(dir string) ([]uint32, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxDescriptors)
	var held []uint32
	for _, name := range names {
		target, err := os.Readlink(dir + "/" + name)
		if err != nil {
			continue // it was closed
		}
		number, is := strings.CutPrefix(target, "socket:[")
		if !is {
			continue
		}
		if inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32); err == nil {
			held = append(held, uint32(inode))
		}
	}
	return held, err
}
