package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// letIn opens a file of ours to a group, and to no other but our own. Only a member may give it to the group, and only where the
// unit lets him: ours does not, since a program that never changes an owner needs no such call. An access list (acl(5)) needs
// neither, but a file system that has them; those of /run have.
func letIn(fd, gid, has int) error {
	path := fmt.Sprintf("/proc/self/fd/%d", fd) // the calls that follow take no O_PATH
	if gid == has || unix.Fchownat(fd, "", -1, gid, unix.AT_EMPTY_PATH) == nil {
		err := unix.Removexattr(path, accessList) // of a group before this one
		if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
			return err
		}
		return unix.Chmod(path, 0o660)
	}
	own := uint16(readAndWrite)
	if has != unix.Getegid() {
		own = 0 // another group, from before
	}
	return unix.Setxattr(path, accessList, listFor(uint32(gid), own), 0)
}

// accessList is the attribute that holds a file's access list, in the form of linux/posix_acl_xattr.h.
const accessList = "system.posix_acl_access"

const readAndWrite = 6

// listFor is the list of a file that its owner and one more group may read and write, and its own group as is said; the mode
// becomes 0660.
func listFor(gid uint32, own uint16) []byte {
	const (
		version                             = 2
		owner, group, more, mask, everybody = 0x01, 0x04, 0x08, 0x10, 0x20
		nobodyInParticular                  = ^uint32(0)
	)
	list := binary.LittleEndian.AppendUint32(nil, version)
	for _, e := range []struct {
		tag, may uint16
		id       uint32
	}{
		{owner, readAndWrite, nobodyInParticular}, {group, own, nobodyInParticular}, {more, readAndWrite, gid},
		{mask, readAndWrite, nobodyInParticular}, {everybody, 0, nobodyInParticular},
	} {
		list = binary.LittleEndian.AppendUint16(list, e.tag)
		list = binary.LittleEndian.AppendUint16(list, e.may)
		list = binary.LittleEndian.AppendUint32(list, e.id)
	}
	return list
}
