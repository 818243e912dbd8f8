// Command deb makes a Debian package of the files that packaging/install.sh has put into a folder: it adds what only a Debian
// package has (copyright, changelog, lintian's overrides, the maintainer scripts beside this file) and writes the archive
// with nfpm. It is a module of its own, so that the daemon's has none of the libraries that this one needs.
//
// Times in the package are those of SOURCE_DATE_EPOCH (reproducible-builds.org), so that the same files make the same package.
package main

import (
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

const (
	name       = "eximpolicyd"
	maintainer = "the eximpolicyd authors <eximpolicyd@packages.invalid>"
	// revision is Debian's, of the package and not of what is in it.
	revision = "1"
)

// description is the package's: its first line, and what a reader of apt show wants to know.
const description = `policy daemon for Exim: forged HELOs, block lists, guessers
Exim asks it at every stage of the SMTP dialogue. It refuses forged greetings,
clients that block lists agree on, bad Message-IDs and mail of the web server's
user, and shuts out who guesses recipients or passwords.

A new installation observes everything and refuses nothing, and Exim's
configuration is left as it is until "eximpolicyd setup --add" is run. Without
the daemon mail flows as if it were not there.`

func main() {
	root := flag.String("root", "", "`FOLDER` with the files, as below /; it is added to")
	version := flag.String("version", "", "`VERSION` of the program")
	arch := flag.String("arch", "", "`ARCHITECTURE`, as Go calls it")
	to := flag.String("to", ".", "`FOLDER` that the package is written into")
	flag.Parse()
	file, err := build(*root, *version, *arch, *to)
	if err != nil {
		fmt.Fprintln(os.Stderr, "deb:", err)
		os.Exit(1)
	}
	fmt.Println(file)
}

// build writes the package and returns its path.
func build(root, version, arch, to string) (string, error) {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH: %w: run make deb, which sets it", err)
	}
	at := time.Unix(seconds, 0).UTC()
	if err := addDocuments(root, version, at); err != nil {
		return "", err
	}
	contents, err := list(root, at)
	if err != nil {
		return "", err
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: name, Arch: arch, Platform: "linux", Version: version, VersionSchema: "none", Release: revision,
		Section: "mail", Priority: "optional", Maintainer: maintainer, Description: description, MTime: at,
		DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			// Exim is only recommended: a host may have one that no package brought.
			Depends: []string{"init-system-helpers (>= 1.54~)", "systemd | systemd-standalone-sysusers | systemd-sysusers",
				"systemd | systemd-standalone-tmpfiles | systemd-tmpfiles"},
			Recommends: []string{"exim4-daemon-heavy | exim4-daemon-light"},
			Suggests:   []string{"bash-completion"},
			Contents:   contents,
			Scripts:    nfpm.Scripts{PostInstall: "postinst", PreRemove: "prerm", PostRemove: "postrm"},
			Deb:        nfpm.Deb{Compression: "gzip:9"},
		},
	})
	if err := nfpm.Validate(info); err != nil {
		return "", err
	}
	path := filepath.Join(to, deb.Default.ConventionalFileName(info))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	if err := deb.Default.Package(info, f); err != nil {
		return "", fmt.Errorf("%w: %w", err, f.Close())
	}
	return path, f.Close()
}

// list returns the files below a folder. Those of /etc are the administrator's: an upgrade keeps what he has changed.
func list(root string, at time.Time) (files.Contents, error) {
	var contents files.Contents
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		stat, err := d.Info()
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644) // whatever the umask
		if stat.Mode()&0o100 != 0 {
			mode = 0o755
		}
		c := &files.Content{Source: path, Destination: strings.TrimPrefix(path, root),
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: at}}
		if strings.HasPrefix(c.Destination, "/etc/") {
			c.Type = files.TypeConfigNoReplace
		}
		contents = append(contents, c)
		return nil
	})
	return contents, err
}

// addDocuments writes what Debian's policy wants in /usr/share/doc, and the overrides.
func addDocuments(root, version string, at time.Time) error {
	doc := filepath.Join(root, "usr/share/doc", name)
	overrides := filepath.Join(root, "usr/share/lintian/overrides")
	for _, dir := range []string{doc, overrides} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	copyright, err := os.ReadFile("copyright")
	if err != nil {
		return err
	}
	license, err := os.ReadFile("../../LICENSE")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(doc, "copyright"), append(copyright, stanza(string(license))...), 0o644); err != nil {
		return err
	}
	reasons, err := os.ReadFile("lintian-overrides")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(overrides, name), reasons, 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(doc, "changelog.Debian.gz"))
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(z, "%s (%s-%s) unstable; urgency=medium\n\n  * Version %s of the program; README.md says what it does.\n\n -- %s  %s\n",
		name, version, revision, version, maintainer, at.Format(time.RFC1123Z))
	return closeAll(err, z, f)
}

// closeAll closes writers in their order and returns the first error.
func closeAll(err error, writers ...io.Closer) error {
	for _, w := range writers {
		if e := w.Close(); err == nil {
			err = e
		}
	}
	return err
}

// stanza writes the text of the licence as copyright files have it: without its title and its copyright line, a blank
// before each line, and a dot on the empty ones.
func stanza(license string) string {
	_, text, _ := strings.Cut(license, "Permission is hereby granted")
	var b strings.Builder
	for line := range strings.Lines("Permission is hereby granted" + text) {
		if line = strings.TrimRight(line, "\n "); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}
