package scenario

import (
	"strconv"
	"strings"

	"eximpolicyd/acl"
	"eximpolicyd/policy"
)

// Exim's own uid here, and the first of those that users get.
const (
	eximUID  = 8
	firstUID = 60001
)

// words are name=value pairs, of which a later one takes the place of an earlier one.
type words []acl.Pair

func (w *words) set(pairs ...acl.Pair) {
	for _, p := range pairs {
		found := false
		for i := range *w {
			if (*w)[i].Name == p.Name {
				(*w)[i].Value, found = p.Value, true
			}
		}
		if !found {
			*w = append(*w, p)
		}
	}
}

// session is one connection as Exim sees it: what it has been told, and what Exim counts.
type session struct {
	talk       acl.Conversation
	connect    *step // that began it
	greeting   *step // the last one, nil: it has not greeted
	connection words // of CONNECT, HELO, AUTH and STARTTLS
	message    words // of MAIL
	history    []string
	rcpts      int // RCPT commands of this message
	failed     int // those refused
	accepted   int
}

// historyLength is how many commands Exim remembers.
const historyLength = 20

func (s *session) command(name string) {
	s.history = append(s.history, name)
	s.history = s.history[max(len(s.history)-historyLength, 0):]
}

// request returns what Exim would say at this step.
func (s *session) request(c *Case, st *step) words {
	var w words
	if st.verb.stage != policy.NotSMTP {
		w.set(acl.Pair{Name: "server_port", Value: "25"}, acl.Pair{Name: "client_port", Value: "40000"},
			acl.Pair{Name: "uid", Value: strconv.Itoa(eximUID)}, acl.Pair{Name: "protocol_name", Value: "esmtp"}, acl.Pair{Name: "helo_name"})
	}
	w.set(c.exim.words...)
	w.set(s.connection...)
	w.set(s.message...)
	if len(s.history) > 0 {
		w.set(acl.Pair{Name: "command_history", Value: strings.Join(s.history, ", ")})
	}
	if st.verb.stage == policy.RCPT || st.verb.stage == policy.Data {
		w.set(count("rcpt_count", s.rcpts), count("rcpt_fail_count", s.failed), count("recipient_count", s.accepted))
	}
	if st.verb.stage == policy.RCPT {
		verify := st.tail
		if verify == "" {
			verify = "ok"
		}
		w.set(acl.Pair{Name: "rcpt_verify", Value: verify})
	}
	w.set(st.given()...)
	w.set(fieldsOf(st.header)...)
	w.set(acl.Pair{Name: "protocol_state", Value: st.verb.stage.String()})
	return w
}

func count(name string, n int) acl.Pair { return acl.Pair{Name: name, Value: strconv.Itoa(n)} }

// given returns what stands in the line.
func (s *step) given() (pairs words) {
	if !s.bare && s.verb.stage != policy.NoStage {
		pairs.set(acl.Pair{Name: s.verb.arg, Value: s.arg})
	}
	for _, w := range s.words {
		if w.Name != "user" {
			pairs.set(w)
		}
	}
	return pairs
}

// user returns who submits a message, or holds the other end of a connection.
func (s *step) user() string {
	for _, w := range s.words {
		if w.Name == "user" {
			return w.Value
		}
	}
	return ""
}

// unasked does what Exim does without asking.
func (s *session) unasked(st *step) {
	s.command(st.verb.name)
	switch st.verb.name {
	case "STARTTLS":
		s.greeting = nil
		s.connection.set(acl.Pair{Name: "tls_cipher", Value: "TLS1.3:TLS_AES_256_GCM_SHA384:256"}, acl.Pair{Name: "helo_name"})
		s.message = nil
	case "AUTH":
		if st.tail == "failed" {
			s.connection.set(acl.Pair{Name: "auth_fail_id", Value: st.arg})
			break
		}
		s.connection.set(acl.Pair{Name: "sasl_method", Value: "plain"}, acl.Pair{Name: "sasl_username", Value: st.arg})
	case "RSET":
		s.reset()
	}
	s.connection.set(st.given()...)
}

// reset ends a message.
func (s *session) reset() { s.message, s.rcpts, s.failed, s.accepted = nil, 0, 0, 0 }

// before does what Exim does before it asks.
func (s *session) before(st *step) {
	switch st.verb.stage {
	case policy.Connect:
		return
	case policy.Mail:
		s.reset()
	case policy.RCPT:
		s.rcpts++
	}
	if st.verb.stage != policy.NotQuit {
		s.command(st.verb.name)
	}
}

// after learns from the answer what Exim knows then. It reports whether the connection goes on.
func (s *session) after(st *step, d *acl.Decision) (goesOn bool) {
	refused := d.Action == policy.Defer || d.Action == policy.Deny || d.Action == policy.Drop
	switch st.verb.stage {
	case policy.Connect:
		s.connect = st
		s.connection.set(st.given()...)
		return !refused
	case policy.Helo:
		if s.reset(); !refused {
			s.greeting = st
			s.connection.set(st.given()...)
		}
	case policy.Mail:
		if !refused {
			s.message.set(st.given()...)
		}
	case policy.RCPT:
		if refused || st.tail == "unknown" {
			s.failed++
		} else {
			s.accepted++
		}
	case policy.Data:
		s.reset()
	case policy.Quit, policy.NotQuit:
		return false
	}
	return d.Action != policy.Drop
}
