package front

import (
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// AuthMechanisms returns what the test user may log in by.
func (s *session) AuthMechanisms() []string {
	if s.User == "" {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

var errAuth = &smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "AUTH comes behind EHLO, and before MAIL"}

// Auth begins a login, where Exim would have one.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	switch {
	case s.User == "":
		return nil, smtp.ErrAuthUnsupported
	case !s.extended || s.inMessage:
		return nil, errAuth
	case mechanism == sasl.Plain:
		return whole{sasl.NewPlainServer(func(_, user, password string) error { return s.login(mechanism, user, password) })}, nil
	case mechanism == sasl.Login:
		return whole{&loginServer{check: func(user, password string) error { return s.login(mechanism, user, password) }}}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// login checks a password, which need not take a constant time: it is a test user's.
func (s *session) login(mechanism, user, password string) error {
	if user != s.User || password != s.Password {
		s.q.AuthFail = cut(user, longestWord)
		return smtp.ErrAuthFailed
	}
	s.q.AuthFail = ""
	s.q.AuthAs, s.q.AuthBy = cut(user, longestWord), strings.ToLower(mechanism)
	s.q.Protocol = s.protocol()
	return nil
}

// whole is a mechanism to whom an answer that is none of its own is a failed login, as to Exim: go-smtp would have the client
// come again.
type whole struct{ sasl.Server }

// Next takes an answer and asks what comes next.
func (w whole) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = w.Server.Next(response)
	if told := new(smtp.SMTPError); err != nil && !errors.As(err, &told) {
		err = smtp.ErrAuthFailed
	}
	return challenge, done, err
}

// loginServer is the mechanism LOGIN, which go-sasl has for clients only.
type loginServer struct {
	check func(user, password string) error
	step  int
	user  string
}

// Next takes an answer and asks what comes next.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if l.step == 0 && response == nil {
		l.step = 1
		return []byte("Username:"), false, nil
	}
	if l.step <= 1 { // a first response is the name
		l.step, l.user = 2, string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}
