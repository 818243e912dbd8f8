package trace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// places are where packages have Exim write its logs: Debian, Red Hat and FreeBSD's, cPanel.
var places = []struct{ dir, main, reject string }{
	{"/var/log/exim4", "mainlog", "rejectlog"},
	{"/var/log/exim", "main.log", "reject.log"},
	{"/var/log", "exim_mainlog", "exim_rejectlog"},
}

// ErrNoLog says that Exim's log is in none of the places that packages use.
var ErrNoLog = errors.New("no log of Exim's is in /var/log/exim4, /var/log/exim or /var/log/exim_mainlog")

// OwnLogs returns this host's logs, rotated ones too, that were written to after since: below root, which is / but for tests.
// With reject, the reject logs are among them. A folder that may not be looked into is an error that is fs.ErrPermission, if no
// other has a log; nothing at all is ErrNoLog, also when all were written before since.
func OwnLogs(root string, since time.Time, reject bool) (names []string, err error) {
	for _, p := range places {
		dir := filepath.Join(root, p.dir)
		entries, failed := os.ReadDir(dir)
		if failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
		for _, e := range entries {
			if !rotationOf(e.Name(), p.main) && (!reject || !rotationOf(e.Name(), p.reject)) {
				continue
			}
			info, failed := e.Info()
			if failed == nil && info.Mode().IsRegular() && !info.ModTime().Before(since) {
				names = append(names, filepath.Join(dir, e.Name()))
			}
		}
	}
	switch {
	case len(names) > 0:
		slices.Sort(names)
		return names, nil
	case err == nil:
		err = ErrNoLog
	}
	return nil, err
}

// rotationOf reports whether a name is that of a log, or of a rotated part: mainlog, mainlog.1, mainlog.2.gz, main.log-20261123.
func rotationOf(name, log string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(name, ".gz"), log)
	return ok && strings.Trim(rest, ".-_0123456789") == ""
}
