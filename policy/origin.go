package policy

import (
	"strconv"
	"strings"
)

// Origin is the policy origin: of a message that this machine's own programs and users send it says who sent it, from which
// directory and by which script, so that a spam report can be answered. It objects to nothing. What it finds stands in the
// log always, and in one header field that is signed and in which names are hashes: the world can tell that two messages are
// of one account, not of which; this host can.
//
// A mode says what an objection is worth, and there is none here: observe and enforce are the same, off is silent. What is
// only looked at as a whole (the top-level mode, a dry run) changes no mail, so it gets no field.
//
// The account is the login, or else the owner of the process; the mail's own words prove nothing. Only sendmail tells the
// directory. Mail that comes from elsewhere without a login is not ours to speak of. What Exim's own user sends is a bounce, or
// has been through a filter that gave it back: that may have come from anywhere, and gets no field.
type Origin struct {
	Header      bool `toml:"header" about:"add X-Eximpolicyd-Origin: account, directory and script as hashes, signed; eximpolicyd origin reads it"`
	XSource     bool `toml:"x_source" about:"add X-Source, the program that sent it. Cost: whoever gets the mail learns which software runs here"`
	XSourceDir  bool `toml:"x_source_dir" about:"add X-Source-Dir, where it ran. Cost: whoever gets the mail learns account names and paths of this host"`
	XSourceArgs bool `toml:"x_source_args" about:"add X-Source-Args, its command line. Cost: whoever gets the mail reads it, passwords in it and all"`
}

func originPolicy() Policy {
	return Policy{
		Name:   "origin",
		About:  "who sent a message of ours, from where and by which script",
		Stages: at(Data, NotSMTP),
		Skip:   among(Outside, Submission, PrivateNet, RelayHost, RelayNet, Postmaster, NullSender),
		New:    func() Settings { return &Origin{Header: true} },
	}
}

// Rules returns the one rule.
func (s *Origin) Rules() []Rule {
	return []Rule{{ID: "N5", Title: "says who sent a message of ours, and objects to nothing", Needs: NeedAccount | NeedProgram, Judge: s.judge}}
}

// Check finds nothing: every choice can be meant.
func (s *Origin) Check() []Mistake { return nil }

// Shows reports whether a field is added that everybody can read. Copies of it that come from elsewhere must go then.
func (s *Origin) Shows() bool { return s.XSource || s.XSourceDir || s.XSourceArgs }

// Source is where a message of ours came from. What is empty or unknown is not known.
type Source struct {
	How     string        `json:"source"`            // Sendmail, SMTP or Login
	Account string        `json:"account,omitempty"` // the login, or else who owns the process; a uid without an account as a number
	UID     Maybe[uint32] `json:"-"`                 // of the process, if it is of this machine
	Dir     string        `json:"-"`                 // where it was started; raw, at most 1,024 octets
	Program

	Header bool   `json:"-"` // the signed field is wanted
	Shown  string `json:"-"` // header fields for everybody to read, LF between them
}

// The ways in which a message of ours comes.
const (
	Sendmail = "sendmail" // a program of this machine called Exim
	SMTP     = "smtp"     // a program of this machine connected
	Login    = "login"    // somebody authenticated, from wherever
)

// Program is what ran a command that submitted a message. Its words are its own: it may call itself what it likes.
type Program struct {
	Name string `json:"program,omitempty"` // path of its file, or what it goes by
	Args string `json:"args,omitempty"`    // its command line, blanks between arguments
}

func (s *Origin) judge(q *Request, f *Facts) Verdict {
	from := &Source{Account: f.Account}
	switch loggedIn := q.AuthBy != ""; {
	case f.Class == Local:
		from.How, from.UID, from.Dir, from.Program = Sendmail, q.UID, q.CWD, f.Program
	case f.Class == Auth, f.Class == Loopback && loggedIn:
		from.How, from.UID = Login, f.ClientUID
		if q.AuthAs != "" {
			from.Account = q.AuthAs
		}
	case f.Class == Loopback:
		from.How, from.UID = SMTP, f.ClientUID
	default:
		return Pass()
	}
	if from.Account == "" && from.UID.Known {
		from.Account = strconv.FormatUint(uint64(from.UID.Value), 10)
	}
	if from.How == Login || !givenBack(from.UID, q, f) {
		from.Header, from.Shown = s.Header, s.shown(from)
	}
	v := Verdict{Source: from}
	switch {
	case from.Account == "":
		v.Unknown, v.Reason = true, "who sent it is not known: "+from.told()
	case f.Traced:
		v.Reason = from.told()
	}
	return v
}

// givenBack reports whether Exim itself gives a message to Exim, which is no bounce that it made.
func givenBack(uid Maybe[uint32], q *Request, f *Facts) bool {
	return uid.Known && uid == f.EximUID && !(f.Class == Local && eximsOwn(uid, q, f))
}

// How much of a text everybody is shown, in octets. With names and line ends the fields are below 998, RFC 5322 2.1.1.
const (
	maxShown     = 255
	maxShownArgs = 500
)

// shown are the fields that are switched on, of what is known.
func (s *Origin) shown(from *Source) string {
	var lines []string
	for _, field := range []struct {
		on          bool
		name, value string
		most        int
	}{
		{s.XSource, "X-Source", from.Program.Name, maxShown},
		{s.XSourceArgs, "X-Source-Args", from.Program.Args, maxShownArgs},
		{s.XSourceDir, "X-Source-Dir", from.Dir, maxShown},
	} {
		if value := strings.TrimSpace(printable(field.value, field.most)); field.on && value != "" {
			lines = append(lines, field.name+": "+value)
		}
	}
	return strings.Join(lines, "\n")
}

// told says it on one line, for the trace. A login stands beside it, as much of it as somebody's name may be shown.
func (s *Source) told() string {
	text := "by " + s.How
	if s.Account != "" && s.How != Login {
		text += " of " + quoted(s.Account)
	}
	if s.UID.Known {
		text += ", uid " + strconv.FormatUint(uint64(s.UID.Value), 10)
	}
	if s.Dir != "" {
		text += ", in " + quoted(s.Dir)
	}
	if s.Program.Name != "" {
		text += ", from " + quoted(s.Program.Name)
	}
	if s.Program.Args != "" {
		text += " as " + quoted(s.Program.Args)
	}
	return text
}
