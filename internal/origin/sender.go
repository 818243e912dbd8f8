package origin

import (
	"path"
	"strings"
)

// maxSenderArgs bounds a command line that is told of; what was read is longer.
const maxSenderArgs = 1000

// Sender returns which of the parents of an Exim process sent the message: the nearest that is neither a mail program nor a
// shell that only starts one (PHP's mail function and popen do it so). script is the file that it runs, args its command
// line, blanks between arguments. Both are empty if there is none. Nothing is cleaned.
func Sender(chain []Process) (script, args string) {
	for i := range chain {
		p := &chain[i]
		if p.mails() {
			continue
		}
		if script = p.Script(); script == "" {
			if p.shell() { // its text is an argument: the mail program's command line
				continue
			}
			script = p.program()
		}
		args = strings.Join(p.Args, " ")
		return script[:min(len(script), maxText)], args[:min(len(args), maxSenderArgs)]
	}
	return "", ""
}

// mails reports whether the process is Exim, by whatever name it is called.
func (p *Process) mails() bool {
	switch path.Base(p.program()) {
	case "exim", "exim4", "sendmail", "rmail", "mailq":
		return true
	}
	return false
}

// shell reports whether the process is a shell.
func (p *Process) shell() bool {
	switch path.Base(p.program()) {
	case "sh", "bash", "dash", "ash", "ksh", "zsh", "busybox":
		return true
	}
	return false
}
