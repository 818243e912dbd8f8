package policy

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// Nobody is the policy nobody: the web server's user has no business sending mail to the world. A hacked script sends as
// that user; a site's own mail goes out under the site's account or through SMTP with a login.
//
// The user is the uid that Exim took from the process that submitted the message; a name or an id in the mail proves
// nothing. A message to local recipients alone passes, and so does one whose recipients are not known.
type Nobody struct {
	Users        []string `toml:"users" about:"login names or uids that may not send to the world"`
	AllowUsers   []string `toml:"allow_users" about:"users that may, even where users or the observed ones (www-data, apache, httpd, nginx, daemon) name them"`
	AllowDirs    []string `toml:"allow_dirs" about:"directories in or under which a script may send"`
	AllowSenders []string `toml:"allow_senders" about:"envelope senders that may send: user@example.com or @example.com"`
	Action       string   `toml:"action" about:"what a refused message gets: deny, or freeze: it stays in Exim's queue, at most 20 an hour of one user"`
}

func nobodyPolicy() Policy {
	return Policy{
		Name:   "nobody",
		About:  "the web server's user does not mail the world",
		Stages: at(RCPT, NotSMTP),
		New:    func() Settings { return &Nobody{Users: []string{"nobody"}, Action: "deny"} },
	}
}

// webUsers are observed until the configuration writes them out: on plain Debian every PHP site and every cron job of a
// site runs as www-data.
const webUsers = "www-data\x00apache\x00httpd\x00nginx\x00daemon"

// Rules returns the one rule.
func (s *Nobody) Rules() []Rule {
	return []Rule{{ID: "N1", Title: "the web server's user sends to the world", Needs: NeedAccount,
		Answers: always(deny()), Judge: s.judge}}
}

// Check finds an action that is not there and directories that are not absolute.
func (s *Nobody) Check() []Mistake {
	var m []Mistake
	switch s.Action {
	case "deny", "freeze":
	default:
		m = append(m, Mistake{"action", quoted(s.Action) + " is no action of this policy: write deny or freeze"})
	}
	for _, d := range s.AllowDirs {
		if !path.IsAbs(d) || path.Clean(d) != d {
			m = append(m, Mistake{"allow_dirs", quoted(d) + " is no clean absolute path; write /home/site/public_html"})
		}
	}
	for _, a := range s.AllowSenders {
		if i := strings.LastIndexByte(a, '@'); i < 0 || !IsHostname(a[i+1:]) {
			m = append(m, Mistake{"allow_senders", quoted(a) + " is no sender; write user@example.com or @example.com"})
		}
	}
	return m
}

func (s *Nobody) judge(q *Request, f *Facts) Verdict {
	uid, how := submitter(q, f)
	switch {
	case how == "":
		return Pass()
	case !uid.Known:
		return unknown("the uid of the sender is not known")
	}
	banned, observed := s.lists(uid.Value, f.Account)
	if f.Account == "" && !banned {
		return unknown("the account of uid " + strconv.FormatUint(uint64(uid.Value), 10) + " is not known")
	}
	if !banned && !observed || s.excepted(q) || eximsOwn(uid, q, f) {
		return Pass()
	}
	where, remote := remoteRecipient(q)
	if !remote.Known {
		return unknown("whether a recipient is remote is not known")
	}
	if !remote.Value {
		return Pass()
	}
	v := hit("this user may not send mail to other hosts", "uid "+strconv.FormatUint(uint64(uid.Value), 10)+" ("+quoted(f.Account)+") "+how+" sends to "+quoted(where))
	if !banned {
		v.Observe = true
		v.Reason += "; only observed: write " + f.Account + " into policy.nobody.users to enforce it"
	}
	return s.hold(v, f)
}

// maxHeld is how many messages of one user are put on hold in an hour; further ones are refused. Exim cancels frozen mail
// after timeout_frozen_after, and its queue is no disk quota.
const maxHeld = 20

// hold puts the message on hold instead, as long as there is room.
func (s *Nobody) hold(v Verdict, f *Facts) Verdict {
	switch {
	case s.Action != "freeze":
	case !f.Held.Known:
		v.Answers, v.Wants = instead(always(Answer{Action: Freeze})), NeedHold
	case f.Held.Value <= maxHeld:
		v.Answers = instead(always(Answer{Action: Freeze}))
	default:
		v.Reason += "; not put on hold: " + strconv.Itoa(maxHeld) + " messages of this user are, of the last hour"
	}
	return v
}

// submitter returns the user who submits and how, or nothing if the user is not to be judged: whoever comes from elsewhere,
// or logged in. Over TCP it is the owner of the other end of the connection, as the kernel said at CONNECT; later the
// client could have closed it, and then the kernel says root.
func submitter(q *Request, f *Facts) (uid Maybe[uint32], how string) {
	switch {
	case f.Class == Local:
		return q.UID, "in " + quoted(q.CWD)
	case f.Class == Loopback && q.AuthBy == "":
		return f.ClientUID, "over SMTP from this machine"
	}
	return uid, ""
}

// lists says whether a user is written in users, or is a web server's user that is only observed.
func (s *Nobody) lists(uid uint32, account string) (banned, observed bool) {
	id := strconv.FormatUint(uint64(uid), 10)
	named := func(list []string) bool {
		return slices.Contains(list, id) || account != "" && slices.Contains(list, account)
	}
	if named(s.AllowUsers) {
		return false, false
	}
	_, web := wordIndex(webUsers, account)
	return named(s.Users), web
}

// excepted reports whether a directory or a sender may send whatever its user. The directory is the script's word,
// true for one that does not know of the exception.
func (s *Nobody) excepted(q *Request) bool {
	dir := path.Clean(q.CWD)
	for _, d := range s.AllowDirs {
		if q.CWD != "" && !q.Client.IsValid() && // over TCP the directory is Exim's own
			(dir == d || d == "/" || strings.HasPrefix(dir, d+"/")) {
			return true
		}
	}
	sender := Lower(q.Sender.Value)
	for _, a := range s.AllowSenders {
		a = Lower(a)
		if sender == a || strings.HasPrefix(a, "@") && strings.HasSuffix(sender, a) {
			return true
		}
	}
	return false
}

// eximsOwn reports whether this is a bounce that Exim itself made: its uid, the null sender. Request.UID would not do:
// over TCP it is always Exim's.
func eximsOwn(uid Maybe[uint32], q *Request, f *Facts) bool {
	return f.EximUID.Known && uid == f.EximUID && q.Sender.Known && q.Sender.Value == ""
}

// remoteRecipient says whether mail leaves this host, and one recipient of that kind. In acl_not_smtp Exim counts them;
// at RCPT, with sendmail -bs, a domain that Exim did not verify is not ours.
func remoteRecipient(q *Request) (string, Maybe[bool]) {
	if q.Stage == NotSMTP {
		return q.RemoteFirst, Maybe[bool]{Value: q.RemoteCount.Value > 0, Known: q.RemoteCount.Known}
	}
	return q.Recipient, Maybe[bool]{Value: q.Verify == VerifyNone, Known: q.Verify != VerifyUnasked}
}
