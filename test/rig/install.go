package rig

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	eximsnippets "eximpolicyd/exim-snippets"
)

// example is Exim's own default configuration as Debian ships it.
const example = "/usr/share/doc/exim4-base/examples/example.conf"

func join(errs ...error) error { return errors.Join(errs...) }

// mainLines are the options of every flavour that make a site private and quick.
func (s *Site) mainLines() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "hosts_proxy = %s\nsmtp_accept_max = 500\nsmtp_accept_reserve = 0\n", ProxyFrom)
	b.WriteString(s.tlsLines())
	b.WriteString("smtp_accept_max_per_connection = 100000\ndaemon_startup_retries = 0\nrfc1413_query_timeout = 0s\n")
	if s.cfg.Queue {
		b.WriteString("queue_only\n")
	}
	return b.String() + s.cfg.Main + "\n"
}

const (
	logSelector = "+arguments +smtp_protocol_error +smtp_syntax_error +received_recipients"

	foreignRouter = "rig_foreign:\n  driver = accept\n  domains = ! +local_domains\n  transport = rig_foreign\n"

	authenticator = "rig_plain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n" +
		"  server_condition = ${if and{{eq{$auth2}{alice}}{eq{$auth3}{" + Password + "}}}}\n" +
		"  server_set_id = $auth2\n  server_advertise_condition = yes\n"
)

func (s *Site) logSelector() string { return strings.TrimSpace(logSelector + " " + s.cfg.LogSelector) }

// foreignTransport keeps what would leave the machine, where Relayed counts it.
func (s *Site) foreignTransport() string {
	return "rig_foreign:\n  driver = appendfile\n  file = " + s.dir + "/foreign/mbox\n  user = " + eximUser +
		"\n  envelope_to_add\n  return_path_add\n"
}

// insert puts text before or after the one line that is exactly mark.
func insert(conf *string, mark, before, after string) error {
	if strings.Count("\n"+*conf, "\n"+mark+"\n") != 1 {
		return fmt.Errorf("rig: the packaged configuration has not one line %q", mark)
	}
	*conf = strings.Replace("\n"+*conf, "\n"+mark+"\n", "\n"+before+mark+"\n"+after, 1)[1:]
	return nil
}

// inserts applies a list of {mark, before, after}.
func inserts(conf *string, list [][3]string) error {
	for _, i := range list {
		if err := insert(conf, i[0], i[1], i[2]); err != nil {
			return err
		}
	}
	return nil
}

func readExample() (string, error) {
	b, err := os.ReadFile(example)
	if err == nil {
		return string(b), nil
	}
	f, zerr := os.Open(example + ".gz")
	if zerr != nil {
		return "", fmt.Errorf("rig: %w: apt-get install -y --reinstall exim4-base", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return "", fmt.Errorf("rig: %s.gz: %w", example, err)
	}
	b, err = io.ReadAll(z)
	if err != nil {
		return "", fmt.Errorf("rig: %s.gz: %w", example, err)
	}
	return string(b), nil
}

// place writes the snippets below a folder of the site; dir is the path that
// Exim will see.
func (s *Site) place(below, dir string) error {
	if s.cfg.Without {
		return nil
	}
	files, err := s.Snippets(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		text := f.Text
		if s.cfg.Edit != nil {
			text = s.cfg.Edit(text)
		}
		if err := s.write(filepath.Join(below, f.Name), text); err != nil {
			return err
		}
	}
	return nil
}

// ownConfiguration is Exim's default configuration with this site's domains, lists, router and mailboxes.
func (s *Site) ownConfiguration() (string, error) {
	conf, err := readExample()
	if err != nil {
		return "", err
	}
	for _, r := range [][2]string{
		{"domainlist local_domains = @\n", "domainlist local_domains = @ : " + s.cfg.LocalDomains + "\n"},
		{"hostlist   relay_from_hosts = localhost\n", "hostlist   relay_from_hosts = " +
			strings.Join(append([]string{"<; localhost"}, s.cfg.RelayHosts...), " ; ") + "\n"},
		{"\nhost_lookup = *\n", "\n"},
		{"\nlog_selector = +smtp_protocol_error +smtp_syntax_error \\\n        +tls_certificate_verified\n",
			"\nlog_selector = " + s.logSelector() + "\n"},
	} {
		if strings.Count(conf, r[0]) != 1 {
			return "", fmt.Errorf("rig: %s has not one %q", example, r[0])
		}
		conf = strings.Replace(conf, r[0], r[1], 1)
	}
	return conf, inserts(&conf, [][3]string{
		{"begin acl", "primary_hostname = " + Domain + "\nkeep_environment =\n" + s.mainLines(), ""},
		{"begin routers", "", foreignRouter},
		{"begin transports", "", s.foreignTransport()},
		{"begin authenticators", "", authenticator},
	})
}

// installStock is Exim's default configuration with the four lines that the
// snippets' places ask for.
func (s *Site) installStock() error {
	conf, err := s.ownConfiguration()
	if err != nil {
		return err
	}
	const dir = "/etc/exim4"
	if err := s.place("etc-exim4", dir); err != nil {
		return err
	}
	include := func(name string) string {
		if s.cfg.Without {
			return ""
		}
		return ".include " + dir + "/eximpolicyd-" + name + ".inc\n"
	}
	err = inserts(&conf, [][3]string{
		{"begin acl", include("main"), include("acl") + s.cfg.ACL},
		{"acl_check_rcpt:", "", include("rcpt")},
		{"acl_check_data:", "", include("data")},
	})
	if err != nil {
		return err
	}
	return s.write("etc-exim4/exim4.conf", conf)
}

// debianSettings copies the packaged configuration and answers its questions.
func (s *Site) debianSettings(split string) error {
	if err := os.CopyFS(filepath.Join(s.dir, "etc-exim4"), os.DirFS("/etc/exim4")); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	relay := strings.Join(s.cfg.RelayHosts, " ; ")
	return s.write("etc-exim4/update-exim4.conf.conf", "dc_eximconfig_configtype='internet'\n"+
		"dc_other_hostnames='"+Domain+"'\ndc_local_interfaces='127.0.0.1'\ndc_readhost=''\ndc_relay_domains=''\n"+
		"dc_minimaldns='false'\ndc_relay_nets='"+relay+"'\ndc_smarthost=''\nCFILEMODE='644'\n"+
		"dc_use_split_config='"+split+"'\ndc_hide_mailname=''\ndc_mailname_in_oh='true'\ndc_localdelivery='mail_spool'\n")
}

func (s *Site) debianMacros() string {
	macros := "MAIN_HARDCODE_PRIMARY_HOSTNAME = " + Domain + "\nMAIN_HOST_LOOKUP = !*\nMAIN_LOG_SELECTOR = " + s.logSelector() + "\n"
	if s.cfg.LocalDomains != "" {
		macros += "MAIN_LOCAL_DOMAINS = @ : localhost : " + Domain + " : " + s.cfg.LocalDomains + "\n"
	}
	return macros
}

func (s *Site) installSplit() error {
	if err := s.debianSettings("true"); err != nil {
		return err
	}
	const conf = "etc-exim4/conf.d/"
	return join(
		s.place(conf, eximsnippets.DefaultDir("debian-split")),
		s.write(conf+"main/00_rig", s.debianMacros()),
		s.write(conf+"main/99_rig", s.mainLines()),
		s.write(conf+"acl/01_rig", s.cfg.ACL),
		s.write(conf+"router/050_rig", foreignRouter),
		s.write(conf+"transport/05_rig", s.foreignTransport()),
		s.write(conf+"auth/90_rig", authenticator),
	)
}

func (s *Site) installUnsplit() error {
	if err := s.debianSettings("false"); err != nil {
		return err
	}
	template, err := os.ReadFile("/etc/exim4/exim4.conf.template")
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	conf := string(template)
	err = inserts(&conf, [][3]string{
		{"begin acl", "", s.cfg.ACL},
		{"begin routers", "", foreignRouter},
		{"begin transports", "", s.foreignTransport()},
		{"begin authenticators", "", authenticator},
	})
	if err != nil {
		return err
	}
	dir := eximsnippets.DefaultDir("debian-unsplit")
	local := s.debianMacros() + s.mainLines()
	if !s.cfg.Without {
		local += ".include " + dir + "/localmacros.inc\n"
	}
	return join(
		s.place("etc-exim4/eximpolicyd", dir),
		s.write("etc-exim4/exim4.conf.localmacros", local),
		s.write("etc-exim4/exim4.conf.template", conf),
	)
}
