package scenario

import (
	"slices"
	"strings"

	"eximpolicyd/policy"
)

// verb is what a line may say.
type verb struct {
	name  string
	stage policy.Stage // at which Exim asks; NoStage: it does not
	arg   string       // name of the wire protocol that the argument is the value of; "": it has none
	path  string       // before the argument in angle brackets: FROM:
	tails []string     // words that may follow it
	free  bool         // the argument may be missing
	alone bool         // it needs no connection
}

// verbs are all of them. The table is only read.
var verbs = []verb{
	{name: "CONNECT", stage: policy.Connect, arg: "client_address", free: true, alone: true},
	{name: "HELO", stage: policy.Helo, arg: "helo_name"},
	{name: "EHLO", stage: policy.Helo, arg: "helo_name"},
	{name: "STARTTLS"},
	{name: "AUTH", arg: "sasl_username", tails: []string{"failed"}},
	{name: "MAIL", stage: policy.Mail, arg: "sender", path: "FROM:"},
	{name: "RCPT", stage: policy.RCPT, arg: "recipient", path: "TO:", tails: []string{"ok", "unknown", "none"}},
	{name: "DATA", stage: policy.Data},
	{name: "RSET"},
	{name: "QUIT", stage: policy.Quit},
	{name: "NOTQUIT", stage: policy.NotQuit},
	{name: "NOT_SMTP", stage: policy.NotSMTP, alone: true},
}

func verbNamed(name string) *verb {
	i := slices.IndexFunc(verbs, func(v verb) bool { return v.name == strings.ToUpper(name) })
	if i < 0 {
		return nil
	}
	return &verbs[i]
}

func verbNames() []string {
	var names []string
	for i := range verbs {
		names = append(names, verbs[i].name)
	}
	return names
}

// says returns how the verb is written.
func (v *verb) says() string {
	switch {
	case v.path != "":
		return v.name + " " + v.path + "<" + map[string]string{"FROM:": "a@example.net", "TO:": "b@example.org"}[v.path] + ">"
	case v.name == "AUTH":
		return "AUTH anna"
	case v.arg == "client_address":
		return v.name + " 203.0.113.7"
	}
	return v.name + " mail.example.net"
}
