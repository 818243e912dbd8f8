package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	eximsnippets "eximpolicyd/exim-snippets"
)

// Config says what a site is like. The zero value but for Flavour and Socket is
// the packaged configuration with our snippets.
type Config struct {
	Flavour string // one of eximsnippets.All
	// Without leaves the snippets out: the site as it was before.
	Without bool
	// Socket is the daemon's; empty means SocketPath of the site.
	Socket  string
	Timeout string // the snippets' time-out, 20s if empty: a busy machine is no fault; a test of a hung daemon wants 1s
	// Nameserver is the address that Exim asks, port 53; empty is one where nobody listens.
	Nameserver string
	// RelayHosts are added to relay_from_hosts.
	RelayHosts []string
	// Ports are more that Exim listens on, 25 or 587 say, at a loopback address of the site's own: see At.
	Ports []int
	// Own is an address of this machine, for Exim to listen at too, on the port of Addr.
	Own string
	// Main holds lines for the main section, ACL whole ACLs for the ACL section.
	Main, ACL string
	// LogSelector holds words that are added to log_selector.
	LogSelector string
	// LocalDomains is added to the list of local domains, for one whose lookup fails say.
	LocalDomains string
	// Edit changes each snippet as an administrator might; nil leaves them byte for byte.
	Edit func(text string) string
	// Switches are settings of a panel's: senderverify or callouts for cPanel, each 0 or 1.
	Switches map[string]int
	// Queue keeps accepted mail in the queue instead of delivering it.
	Queue bool
	// TLS offers STARTTLS, with a certificate that nobody knows. Not for stock: its ciphers are written for OpenSSL,
	// and Debian builds Exim with GnuTLS.
	TLS bool
}

// A Site is one Exim. New makes it, Start makes it listen, Close ends every
// process of it and removes its folder.
type Site struct {
	cfg    Config
	dir    string
	ns     *namespace
	daemon *process
	port   int

	daemons int // eximpolicyd's started so far, for the names of their logs
}

// mounts are the folders and files of a site and what they lie over.
func mounts() [][2]string {
	return [][2]string{
		{"etc-exim4", "/etc/exim4"},
		{"lib", "/var/lib/exim4"},
		{"spool", "/var/spool/exim4"},
		{"log", "/var/log/exim4"},
		{"mail", "/var/mail"},
		{"passwd", "/etc/passwd"},
		{"aliases", "/etc/aliases"},
		{"mailname", "/etc/mailname"},
		{"resolv.conf", "/etc/resolv.conf"},
	}
}

// New makes a site that does not listen yet. Its folder can be reached by
// Exim's user; below a folder of mode 0700 a socket is silently out of reach.
func New(cfg Config) (*Site, error) {
	if err := Check(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "eximrig-")
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	s := &Site{cfg: cfg, dir: dir}
	if s.cfg.Socket == "" {
		s.cfg.Socket = s.SocketPath()
	}
	if s.cfg.Timeout == "" {
		s.cfg.Timeout = "20s"
	}
	if s.cfg.Nameserver == "" {
		s.cfg.Nameserver = loopback(1) // not 127.0.0.1, where an installed unbound may serve the machine
	}
	if err := s.build(); err != nil {
		return nil, join(err, s.Close())
	}
	return s, nil
}

func (s *Site) build() error {
	if err := s.folders(); err != nil {
		return err
	}
	install := map[string]func() error{
		"stock": s.installStock, "debian-split": s.installSplit, "debian-unsplit": s.installUnsplit,
		"cpanel": s.installCPanel, "directadmin": s.installDirectAdmin,
	}[s.cfg.Flavour]
	if install == nil {
		return fmt.Errorf("rig: no flavour %q", s.cfg.Flavour)
	}
	if err := install(); err != nil {
		return err
	}
	ns, err := s.enter()
	if err != nil {
		return err
	}
	s.ns = ns
	if strings.HasPrefix(s.cfg.Flavour, "debian-") {
		if out, err := s.Run("update-exim4.conf", "--verbose"); err != nil {
			return fmt.Errorf("rig: update-exim4.conf: %w\n%s", err, out)
		}
	}
	out, err := s.Run("exim4", "-bV")
	if err != nil {
		return fmt.Errorf("rig: exim4 -bV: %w\n%s", err, out)
	}
	return nil
}

// Dir is the site's folder, mode 0755.
func (s *Site) Dir() string { return s.dir }

// SocketPath is where a policy daemon of this site listens by default, in a
// folder like the installed one: 0750 and of Exim's group.
func (s *Site) SocketPath() string { return filepath.Join(s.dir, "run", "policy.sock") }

// Snippets returns the files of the site's flavour, byte for byte what an
// administrator gets for these options.
func (s *Site) Snippets(dir string) ([]eximsnippets.File, error) {
	return eximsnippets.Render(s.cfg.Flavour, eximsnippets.Options{Socket: s.cfg.Socket, Timeout: s.cfg.Timeout, Dir: dir})
}

func (s *Site) folders() error {
	uid, gid, err := eximIDs()
	if err != nil {
		return err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	for _, f := range []struct {
		name     string
		mode     os.FileMode
		uid, gid int
	}{
		{"etc-exim4", 0o755, 0, 0}, {"lib", 0o755, 0, 0}, {"spool", 0o750, uid, gid}, {"log", 0o755, uid, gid},
		{"mail", 0o777 | os.ModeSticky, 0, 0}, {"foreign", 0o755, uid, gid}, {"run", 0o750, 0, gid},
		{"home", 0o755, 0, 0}, {"home/nobody", 0o755, 65534, 65534},
		{"home/alice", 0o755, 12001, 12001}, {"home/bob", 0o755, 12002, 12002}, {"home/carol", 0o755, 12003, 12003},
	} {
		p := filepath.Join(s.dir, f.name)
		if err := os.Mkdir(p, 0o755); err != nil {
			return fmt.Errorf("rig: %w", err)
		}
		if err := join(os.Chown(p, f.uid, f.gid), os.Chmod(p, f.mode)); err != nil {
			return fmt.Errorf("rig: %w", err)
		}
	}
	passwd, err := s.passwd()
	if err != nil {
		return err
	}
	if err := s.certificate(); err != nil {
		return err
	}
	return join(
		s.write("passwd", passwd),
		s.write("aliases", "postmaster: alice\nroot: alice\nlater: :defer: the mailbox is moving\n"),
		s.write("mailname", Domain+"\n"),
		s.write("resolv.conf", "nameserver "+s.cfg.Nameserver+"\noptions timeout:1 attempts:5\n"),
	)
}

// passwd is the system's own with our mailboxes, and a home for nobody: Exim
// looks for a .forward there and waits for a home that is not mounted.
func (s *Site) passwd() (string, error) {
	system, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", fmt.Errorf("rig: %w", err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(system)) {
		if !strings.HasPrefix(line, "nobody:") {
			b.WriteString(line)
		}
	}
	fmt.Fprintf(&b, "nobody:x:65534:65534::%s/home/nobody:/usr/sbin/nologin\n", s.dir)
	for i, name := range Users() {
		fmt.Fprintf(&b, "%s:x:%d:%d::%s/home/%s:/usr/sbin/nologin\n", name, 12001+i, 12001+i, s.dir, name)
	}
	return b.String(), nil
}

// write makes a file of the site, readable by everybody.
func (s *Site) write(name, text string) error {
	p := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	return nil
}

// Close ends every process of the site and removes its folder.
func (s *Site) Close() error {
	err := s.Stop()
	if s.ns != nil {
		err = join(err, s.ns.close())
	}
	return join(err, os.RemoveAll(s.dir))
}
