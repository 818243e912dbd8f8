package setup

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// startIt is what to do where no daemon is.
const startIt = "start eximpolicyd: systemctl start eximpolicyd"

// unreachable says what keeps Exim's user from the daemon's socket; nothing if somebody listens there.
func (s *Setup) unreachable() []Finding {
	var f findings
	socket := s.o.Socket
	groups := s.groups()
	for _, dir := range above(socket) {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			f.add(place{file: socket}, startIt, "there is no daemon: %s does not exist", dir)
			return f
		}
		if err == nil && !s.may(info, groups, 1) {
			f.add(place{file: dir}, "let Exim's group in: chgrp "+s.option("exim_group")+" "+dir+" && chmod 750 "+dir,
				"Exim's user cannot reach %s: %s has mode %04o", socket, dir, info.Mode().Perm())
			return f
		}
	}
	info, err := os.Stat(socket)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.add(place{file: socket}, startIt, "there is no daemon: nobody listens")
	case err != nil:
		f.add(place{file: socket}, "see that root can reach it", "%v", err)
	case info.Mode()&fs.ModeSocket == 0:
		f.add(place{file: socket}, "take it away, and "+startIt, "is no socket")
	case !s.may(info, groups, 6):
		f.add(place{file: socket}, "set listen.group to "+s.option("exim_group")+", and restart eximpolicyd: systemctl restart eximpolicyd", "Exim's user cannot ask: the socket has mode %04o", info.Mode().Perm())
	default:
		c, err := net.DialTimeout("unix", socket, time.Second)
		if err != nil {
			f.add(place{file: socket}, startIt, "there is no daemon: %v", errors.Unwrap(err))
			break
		}
		_, _ = c.Write([]byte("reset")) // what the daemon meets with silence
		c.Close()
		if bypass := filepath.Join(filepath.Dir(socket), "bypass"); exists(bypass) {
			f.add(place{file: bypass}, "rm "+bypass, "switches the daemon off: every answer is no opinion")
		}
	}
	return f
}

// above are the folders that lead to a file, from the top.
func above(path string) (dirs []string) {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		dirs = append(dirs, dir)
		if dir == "/" {
			slices.Reverse(dirs)
			return dirs
		}
	}
}

// groups are those of Exim's user: its daemon keeps them all.
func (s *Setup) groups() []uint32 {
	list := []uint32{uint32(s.gid)}
	u, err := user.LookupId(strconv.Itoa(s.uid))
	if err != nil {
		return list
	}
	all, err := u.GroupIds()
	if err != nil {
		return list
	}
	for _, g := range all {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			list = append(list, uint32(n))
		}
	}
	return list
}

// may reports whether Exim's user has the bits (4 read, 2 write, 1 pass) of a file by its mode.
func (s *Setup) may(info fs.FileInfo, groups []uint32, bits fs.FileMode) bool {
	owner := info.Sys().(*syscall.Stat_t) // what Stat fills in on Linux
	mode := info.Mode().Perm()
	switch {
	case owner.Uid == uint32(s.uid):
		mode >>= 6
	case slices.Contains(groups, owner.Gid):
		mode >>= 3
	}
	return mode&bits == bits
}
