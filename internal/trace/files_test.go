package trace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheLogsOfThisHostAreThoseThatEximWrote(t *testing.T) {
	old := time.Now().Add(-100 * time.Hour)
	for _, c := range []struct {
		name   string
		files  string // below /var/log; "-" before one that was written long ago
		reject bool
		want   string
	}{
		{"none", "", false, ""},
		{"others'", "exim4/paniclog exim4/mainlog.bak exim4/mainlogger mail.log exim_mainlog.txt", false, ""},
		{"all old", "-exim4/mainlog -exim4/mainlog.1", false, ""},
		{"Debian", "exim4/mainlog exim4/mainlog.1 exim4/mainlog.2.gz -exim4/mainlog.3.gz exim4/rejectlog", false, "exim4/mainlog exim4/mainlog.1 exim4/mainlog.2.gz"},
		{"with the reject log", "exim4/mainlog exim4/rejectlog.1", true, "exim4/mainlog exim4/rejectlog.1"},
		{"Red Hat", "exim/main.log exim/main.log-20261122 exim/main.log-20261115.gz exim/reject.log", false, "exim/main.log exim/main.log-20261115.gz exim/main.log-20261122"},
		{"cPanel", "exim_mainlog exim_mainlog-20261122.gz exim_rejectlog", true, "exim_mainlog exim_mainlog-20261122.gz exim_rejectlog"},
	} {
		root := t.TempDir()
		for _, name := range strings.Fields(c.files) {
			path := filepath.Join(root, "var/log", strings.TrimPrefix(name, "-"))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "-") {
				if err := os.Chtimes(path, old, old); err != nil {
					t.Fatal(err)
				}
			}
		}
		names, err := OwnLogs(root, old.Add(time.Hour), c.reject)
		for i := range names {
			names[i] = strings.TrimPrefix(names[i], filepath.Join(root, "var/log")+"/")
		}
		if got := strings.Join(names, " "); got != c.want || (c.want == "") != errors.Is(err, ErrNoLog) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestALinkOrAPipeIsNoLog(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "var/log/exim4")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Symlink("/etc/shadow", filepath.Join(dir, "mainlog")), os.Mkdir(filepath.Join(dir, "mainlog.1"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if names, err := OwnLogs(root, time.Time{}, true); !errors.Is(err, ErrNoLog) || errors.Is(err, fs.ErrPermission) {
		t.Errorf("%q, %v", names, err)
	}
}
