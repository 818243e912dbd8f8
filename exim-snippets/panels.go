package eximsnippets

// The panels write Exim's configuration themselves, and leave rooms in it for the administrator. Their names for these rooms
// and lists are those of their public texts (cPanel's Cpanel::Exim::Config, a SpamBlocker 4.5 exim.conf).

// panels is a table like flavours.
func panels() []flavour {
	return []flavour{
		{name: "cpanel", dir: "/etc/exim.eximpolicyd", policy: "eximpolicyd", macros: true,
			lists: lists{"+relay_hosts", "+local_domains", "+local_domains : +relay_domains"}, sources: cpanel(), steps: cpanelSteps()},
		{name: "directadmin", dir: "/etc/exim.eximpolicyd", policy: "@DIR@/policy.acl",
			lists: lists{"+relay_hosts", "+local_domains", "+local_domains"}, sources: directadmin(), steps: directadminSteps()},
	}
}

// cpanelBlocks are the rooms of cPanel's ACLs: the block, its file, and what it is for. A block's custom_begin file is its
// first, its custom_end file its last.
func cpanelBlocks() [][2]string {
	return [][2]string{
		{"ACL_CONNECT_BLOCK", "custom_begin_connect"},
		{"ACL_SMTP_HELO_BLOCK", "custom_begin_smtp_helo"},
		{"ACL_SMTP_HELO_POST_BLOCK", "custom_end_smtp_helo_post"},
		{"ACL_MAIL_PRE_BLOCK", "custom_begin_mail_pre"},
		{"ACL_PRE_RECIPIENT_BLOCK", "custom_begin_pre_recipient"},
		{"ACL_CHECK_MESSAGE_PRE_BLOCK", "custom_begin_check_message_pre"},
		{"ACL_NOT_SMTP_BLOCK", "custom_begin_not_smtp"},
		{"ACL_NOTQUIT_BLOCK", "custom_begin_notquit"},
		{"ACL_SMTP_QUIT_BLOCK", "custom_begin_smtp_quit"},
		{"ACL_SMTP_QUIT_BLOCK", "custom_end_smtp_quit"},
	}
}

// cpanel keeps the macros and the ACL in files that one line each includes. The builder reads @CONFIG@ line by line and takes
// each for an option that replaces the panel's own: "primary_hostname=" of our request would delete the host's name, our
// ".endif" every other one, and a macro without a value is dropped.
func cpanel() []source {
	const add = `add its lines to /etc/exim.conf.local below the line "@`
	list := []source{
		{"main.inc", "main.inc", "copy it to @DIR@/main.inc, readable by everybody; the section CONFIG includes it"},
		{"acl.inc", "acl.inc", "copy it to @DIR@/acl.inc, readable by everybody; the section BEGINACL includes it"},
		{"exim.conf.local.CONFIG", "CONFIG", add + `CONFIG@" (in WHM: Advanced Editor, section CONFIG)`},
		{"exim.conf.local.BEGINACL", "BEGINACL", add + `BEGINACL@" (in WHM: Advanced Editor, section BEGINACL)`},
	}
	for _, b := range cpanelBlocks() {
		list = append(list, source{"acls/" + b[0] + "/" + b[1], b[1], "copy it to /usr/local/cpanel/etc/exim/acls/" + b[0] + "/" + b[1] +
			`, or add its lines to that file, and add the line "acl_` + b[1] + `=1" to /etc/exim.conf.localopts`})
	}
	return list
}

func cpanelSteps() []string {
	return []string{
		`before you build: where "exim -bP acl_not_smtp" shows nothing after the sign =, no statement follows ours, and all local ` +
			`mail would be refused: then write the line "accept" into acls/ACL_NOT_SMTP_BLOCK/custom_end_not_smtp too, and switch it on`,
		"cp -p /etc/exim.conf /etc/exim.conf.before-eximpolicyd",
		"/scripts/buildeximconf",
		"exim -bV    must end without a complaint; if not, set the switches to 0 and build again",
		"eximpolicyd setup --check    says which stage does not ask, and what stands before us",
		"/scripts/restartsrv_exim",
		"to take it out: set the switches to 0, take the two .include lines out, build and restart; delete the files last",
	}
}

// directadmin has no room at CONNECT and MAIL, so the first HELO asks about the connection, and the first RCPT of a message
// about its sender. It has no room for a named ACL either, hence the files.
func directadmin() []source {
	var list []source
	for _, n := range []string{"policy", "connect", "mail", "quit", "notquit"} {
		list = append(list, source{n + ".acl", n + ".acl", "copy it to @DIR@/" + n + ".acl, readable by Exim's user"})
	}
	for _, n := range []string{"helo", "recipient", "message", "script"} {
		place := map[string]string{"helo": "exim.acl_check_helo.pre.conf", "recipient": "exim.acl_check_recipient.pre.conf",
			"message": "exim.acl_check_message.pre.conf", "script": "exim.acl_script.pre.conf"}[n]
		list = append(list, source{n + ".inc", n + ".inc", "copy it to @DIR@/" + n + `.inc, and make the line ".include @DIR@/` + n +
			`.inc" the first of /etc/` + place + ` (make that file if there is none)`})
	}
	return append(list, source{"variables.inc", "variables.inc",
		`copy it to @DIR@/variables.inc, and add the line ".include @DIR@/variables.inc" to /etc/exim.variables.conf.post (make that file if there is none)`})
}

func directadminSteps() []string {
	return []string{
		`exim -bV    must end without a complaint; "set for the second time" names an option that is yours already: take its line ` +
			`out of variables.inc and write "warn acl = @DIR@/quit.acl" (or notquit.acl) at the top of your own ACL`,
		"eximpolicyd setup --check    says which stage does not ask, and what stands before us",
		"systemctl restart exim    a restart, since a reload would leave running sessions with files that are gone",
		"to take it out: take the five .include lines out and restart Exim; delete the files last",
	}
}
