package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"

	"eximpolicyd/internal/mainlog"
)

// readers says who may read Exim's logs.
const readers = "run it as root, or as a user of the logs' group (adm on Debian)"

// tellFaults says what is wrong with logs, one line each, and whether one of them may not be read.
func tellFaults(errs io.Writer, faults []*mainlog.Fault) (forbidden bool) {
	for _, f := range faults {
		fmt.Fprintln(errs, "eximpolicyd:", f)
		forbidden = forbidden || errors.Is(f, fs.ErrPermission)
	}
	return forbidden
}

// noLog says what to do where not one log could be read. What is wrong with each of them is told already.
func noLog(faults []*mainlog.Fault) error {
	for _, f := range faults {
		switch {
		case errors.Is(f, fs.ErrPermission):
			return fail(exPermission, readers, "no log may be read")
		case errors.Is(f, syscall.EISDIR):
			return fail(exNoInput, "name the logs in the folder, like "+printable(filepath.Join(f.Input, "mainlog*")), "no log could be read")
		}
	}
	return fail(exNoInput, "Exim's are /var/log/exim4/mainlog* on Debian, and elsewhere where exim -bP log_file_path says; - is standard input",
		"no log could be read")
}
