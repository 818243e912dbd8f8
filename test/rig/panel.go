package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	eximsnippets "eximpolicyd/exim-snippets"
)

// The sites in this file are built like those of control panels: their lists, blocks and includes in their order, and for
// cPanel what its builder does to the administrator's text. Nothing is copied from a panel, and what its own rules are is
// left out but for those that a snippet could meet.

// panelDir is where the snippets' own files lie.
const panelDir = "/etc/exim4/eximpolicyd"

// panelConfiguration is Exim's default in the words of the panels, in two parts: up to "begin acl", and from the routers on.
func (s *Site) panelConfiguration() (main, rest string, err error) {
	conf, err := s.ownConfiguration()
	if err != nil {
		return "", "", err
	}
	conf = strings.NewReplacer("relay_from_hosts", "relay_hosts", "relay_to_domains", "relay_domains").Replace(conf)
	main, after, _ := strings.Cut(conf, "begin acl\n")
	_, rest, found := strings.Cut(after, "begin routers\n")
	if !found {
		return "", "", fmt.Errorf("rig: %s has no routers", example)
	}
	main = regexp.MustCompile(`(?m)^(acl_smtp_\w+ *=.*|\.ifdef _HAVE_PRDR\n(acl_smtp_data_prdr|prdr_enable).*\n\.endif)\n`).ReplaceAllString(main, "")
	return main, "begin routers\n" + rest, nil
}

// placePanel copies the snippets: our own files, and for the panel's rooms what room says, by their names. It is asked for
// each file where that goes, "" being nowhere.
func (s *Site) placePanel(room func(f eximsnippets.File) string) error {
	if s.cfg.Without {
		return nil
	}
	files, err := s.Snippets(panelDir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if s.cfg.Edit != nil {
			f.Text = s.cfg.Edit(f.Text)
		}
		if place := room(f); place != "" {
			if err := s.write(place, f.Text); err != nil {
				return err
			}
		}
	}
	return nil
}

// cpanelACLs are cPanel's, each with its blocks in their order, and what the panel itself has in a block.
const cpanelACLs = `acl_not_smtp:
[% ACL_NOT_SMTP_BLOCK %]
[% ACL_OUTGOING_NOTSMTP_CHECKALL_BLOCK %]

acl_not_smtp_start:
[% ACL_NOT_SMTP_START_BLOCK %]

acl_smtp_connect:
[% ACL_CONNECT_BLOCK %]
[% ACL_CONNECT_POST_BLOCK %]

acl_smtp_data:
[% ACL_CHECK_MESSAGE_PRE_BLOCK %]
[% ACL_CHECK_MESSAGE_POST_BLOCK %]

acl_smtp_helo:
[% ACL_SMTP_HELO_BLOCK %]
[% ACL_SMTP_HELO_POST_BLOCK %]

acl_smtp_mail:
[% ACL_MAIL_PRE_BLOCK %]
[% ACL_MAIL_BLOCK %]
[% ACL_MAIL_POST_BLOCK %]

acl_smtp_notquit:
[% ACL_NOTQUIT_BLOCK %]

acl_smtp_predata:
[% ACL_SMTP_PREDATA_BLOCK %]

acl_smtp_quit:
[% ACL_SMTP_QUIT_BLOCK %]

acl_smtp_rcpt:
[% ACL_PRE_RECIPIENT_BLOCK %]
  accept  hosts = :
[% ACL_RBL_BLOCK %]
[% ACL_RECIPIENT_BLOCK %]
[% ACL_RECP_VERIFY_BLOCK %]
[% ACL_RECIPIENT_POST_BLOCK %]

`

// cpanelDefaults are the files that the panel itself puts into its blocks.
func cpanelDefaults() map[string]string {
	return map[string]string{
		"ACL_OUTGOING_NOTSMTP_CHECKALL_BLOCK/end_outgoing_notsmtp_checkall": "  accept\n",
		"ACL_CONNECT_POST_BLOCK/default_connect_post":                       "  accept\n",
		"ACL_CHECK_MESSAGE_POST_BLOCK/default_check_message_post":           "  accept\n",
		"ACL_MAIL_BLOCK/default_mail":                                       "  deny    senders = spammer@spam.example\n          !verify = sender\n",
		"ACL_MAIL_POST_BLOCK/default_mail_post":                             "  accept\n",
		"ACL_NOTQUIT_BLOCK/ratelimit":                                       "  warn    condition = no\n  accept\n",
		"ACL_RECIPIENT_BLOCK/default_recipient": "  accept  hosts = +relay_hosts\n  accept  authenticated = *\n" +
			"  require message = relay not permitted\n          domains = +local_domains : +relay_domains\n",
		"ACL_RECP_VERIFY_BLOCK/default_recp_verify":         "  require verify = recipient\n",
		"ACL_RECIPIENT_POST_BLOCK/default_recipient_post":   "  accept\n",
		"ACL_RBL_BLOCK/primary_rbl":                         "  warn    condition = no\n",
		"ACL_SMTP_HELO_POST_BLOCK/custom_end_from_before_x": "", // an empty file is no content
	}
}

func (s *Site) installCPanel() error {
	main, rest, err := s.panelConfiguration()
	if err != nil {
		return err
	}
	sections := map[string]string{"CONFIG": "# the administrator's\nignore_bounce_errors_after = 3d\n", "BEGINACL": ""}
	blocks := cpanelDefaults()
	switches := map[string]int{}
	err = s.placePanel(func(f eximsnippets.File) string {
		if section, is := strings.CutPrefix(f.Name, "exim.conf.local."); is {
			sections[section] += f.Text
			return ""
		}
		if name, is := strings.CutPrefix(f.Name, "acls/"); is {
			blocks[name] = f.Text
			switches["acl_"+filepath.Base(name)] = 1
			return ""
		}
		return "etc-exim4/eximpolicyd/" + f.Name
	})
	if err != nil {
		return err
	}
	return s.write("etc-exim4/exim4.conf", s.buildCPanel(main, rest, sections, blocks, switches))
}

// buildCPanel does what the panel's builder does: a line of the section CONFIG replaces the panel's option of that name,
// blocks are filled in their order, words are rewritten, and an ACL without content has no option.
func (s *Site) buildCPanel(main, rest string, sections, blocks map[string]string, switches map[string]int) string {
	var config strings.Builder
	own := map[string]bool{}
	for line := range strings.Lines(sections["CONFIG"]) {
		name, value, assigns := strings.Cut(line, "=")
		if strings.TrimSpace(line) == "" {
			continue
		}
		own[strings.ToLower(strings.TrimSpace(name))] = true
		if !assigns || strings.TrimSpace(value) != "" {
			config.WriteString(line)
		}
	}
	acls := cpanelACLs
	for name, text := range sorted(blocks) {
		block, file := filepath.Split(name)
		if strings.HasPrefix(file, "custom_") && switches["acl_"+file] == 0 {
			continue
		}
		mark := "[% " + strings.TrimSuffix(block, "/") + " %]\n"
		acls = strings.Replace(acls, mark, text+"\n"+mark, 1)
	}
	acls = sections["BEGINACL"] + s.cfg.ACL + regexp.MustCompile(`(?m)^\[% \w+ %\]\n`).ReplaceAllString(acls, "")
	if s.cfg.Switches["senderverify"] == 0 {
		acls = regexp.MustCompile(`(?m)^.*(verify\s*=\s*sender|senderverifybypass).*\n`).ReplaceAllString(acls, "")
	}
	if s.cfg.Switches["callouts"] == 0 {
		acls = regexp.MustCompile(`sender/callout=?\d*s?`).ReplaceAllString(acls, "sender")
	}
	var kept strings.Builder
	killing := false
	for line := range strings.Lines(main) {
		name, _, _ := strings.Cut(line, "=")
		name, _, _ = strings.Cut(strings.ToLower(name), " ")
		killing = killing || own[strings.TrimSpace(name)] && strings.TrimSpace(line) != ""
		if !killing {
			kept.WriteString(line)
		}
		killing = killing && strings.HasSuffix(strings.TrimSpace(line), `\`)
	}
	return kept.String() + config.String() + aclOptions(acls, own) + "begin acl\n" + acls + rest
}

// aclOptions are those of the ACLs that have content; the one at connect must end with accept.
func aclOptions(acls string, own map[string]bool) string {
	var b strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^(acl_\w+):\n`).FindAllStringSubmatchIndex(acls, -1) {
		name, body := acls[m[2]:m[3]], acls[m[1]:]
		if next := regexp.MustCompile(`(?m)^\w+:\n`).FindStringIndex(body); next != nil {
			body = body[:next[0]]
		}
		body = strings.TrimSpace(regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(body, ""))
		if body == "" || own[name] || name == "acl_smtp_connect" && !strings.HasSuffix(body, "accept") {
			continue
		}
		fmt.Fprintf(&b, "%s = %s\n", name, name)
	}
	return b.String()
}

// sorted walks a block's files in the builder's order: custom_begin, begin, the others, end, custom_end.
func sorted(blocks map[string]string) func(yield func(name, text string) bool) {
	rank := func(name string) int {
		for i, prefix := range []string{"custom_begin", "begin_", "", "end_", "custom_end"} {
			if prefix != "" && strings.HasPrefix(filepath.Base(name), prefix) {
				return i
			}
		}
		return 2
	}
	names := make([]string, 0, len(blocks))
	for name := range blocks {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return func(yield func(name, text string) bool) {
		for _, name := range names {
			if !yield(name, blocks[name]) {
				return
			}
		}
	}
}

// directadminACLs are that panel's, with its includes in their order. It adds a Message-ID directly after the first one.
const directadminACLs = `acl_connect:
  .include_if_exists /etc/exim4/exim.easy_spam_fighter/connect.conf
  accept

acl_check_helo:
  .include_if_exists /etc/exim4/exim.acl_check_helo.pre.conf
  accept  hosts = +relay_hosts
  .include_if_exists /etc/exim4/exim.acl_check_helo.post.conf
  accept

acl_script:
  .include_if_exists /etc/exim4/exim.acl_script.pre.conf
  accept

acl_check_mail:
  .include_if_exists /etc/exim4/exim.easy_spam_fighter/check_mail.conf
  accept

acl_check_recipient:
  .include_if_exists /etc/exim4/exim.acl_check_recipient.pre.conf
  accept  hosts = :
  accept  hosts = +relay_hosts
  accept  authenticated = *
  require message = relay not permitted
          domains = +local_domains : +relay_domains
  deny    domains = +local_domains
          !verify = recipient
  .include_if_exists /etc/exim4/exim.acl_check_recipient.mid.conf
  accept

acl_check_message:
  .include_if_exists /etc/exim4/exim.acl_check_message.pre.conf
  warn    condition = ${if !def:h_Message-ID: {1}}
          add_header = Message-ID: <E$message_exim_id@$primary_hostname>
  .include_if_exists /etc/exim4/exim.acl_check_message.post.conf
  accept

`

func (s *Site) installDirectAdmin() error {
	main, rest, err := s.panelConfiguration()
	if err != nil {
		return err
	}
	rooms := map[string]string{"helo.inc": "exim.acl_check_helo.pre.conf", "recipient.inc": "exim.acl_check_recipient.pre.conf",
		"message.inc": "exim.acl_check_message.pre.conf", "script.inc": "exim.acl_script.pre.conf", "variables.inc": "exim.variables.conf.post"}
	err = s.placePanel(func(f eximsnippets.File) string { return "etc-exim4/eximpolicyd/" + f.Name })
	for name, room := range rooms {
		if err != nil || s.cfg.Without {
			break
		}
		// The administrator has something of his own there already.
		err = s.write("etc-exim4/"+room, ".include "+panelDir+"/"+name+"\n# the administrator's own\n")
	}
	if err != nil {
		return err
	}
	return join(os.MkdirAll(filepath.Join(s.dir, "etc-exim4/exim.easy_spam_fighter"), 0o755),
		s.write("etc-exim4/exim4.conf", main+"acl_smtp_connect = acl_connect\nacl_smtp_helo = acl_check_helo\n"+
			"acl_smtp_mail = ${if ={$interface_port}{1} {accept}{acl_check_mail}}\nacl_smtp_rcpt = acl_check_recipient\n"+
			"acl_smtp_data = acl_check_message\nacl_not_smtp = acl_script\n.include_if_exists /etc/exim4/exim.variables.conf.post\n"+
			"begin acl\n"+s.cfg.ACL+directadminACLs+rest))
}
