package trace

import (
	"net/netip"
	"strings"
	"time"

	"eximpolicyd/internal/mainlog"
)

// Message is one that Exim took, or that it refused when it had seen it, with its sender as far as the log tells. Its strings are
// its own, bounded, and hostile.
type Message struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Refused bool      `json:"refused,omitempty"` // it was not taken

	Account   string     `json:"account,omitempty"`
	LoggedIn  bool       `json:"logged_in,omitempty"` // Account did so over SMTP; else it is the local user's
	UID       string     `json:"uid,omitempty"`       // as the note of our own says it; else empty, and Account tells
	Client    netip.Addr `json:"client,omitzero"`     // not valid: submitted on this machine
	Host      string     `json:"host,omitempty"`      // its confirmed name, or what it greeted with
	Protocol  string     `json:"protocol,omitempty"`
	Directory string     `json:"directory,omitempty"`
	Guess     bool       `json:"guess,omitempty"` // that Directory and Arguments are this message's
	Arguments string     `json:"arguments,omitempty"`
	Script    string     `json:"script,omitempty"`

	Sender     string   `json:"sender"` // of the envelope; empty is the null sender
	Recipients []string `json:"recipients,omitempty"`
	MessageID  string   `json:"message_id,omitempty"`
	Subject    string   `json:"subject,omitempty"`
	Reference  string   `json:"bounce_of,omitempty"`
	Size       int64    `json:"size,omitempty"`

	listed int // recipients that the arrival names
}

// Bounds of what is kept of a message.
const (
	maxText       = 512 // octets of each string
	maxRecipients = 64  // that are kept; all are counted
)

func keep(s string) string { return strings.Clone(s[:min(len(s), maxText)]) }

// newMessage takes what an arrival, or the refusal of a local submission, says itself.
func newMessage(e *mainlog.Event) *Message {
	m := &Message{
		ID: strings.Clone(e.ID), Time: e.Time, Refused: e.Kind != mainlog.Arrived && e.Kind != mainlog.ArrivedRefused, Client: e.Client,
		Protocol: keep(e.Protocol), Sender: keep(e.Sender), MessageID: keep(e.MessageID), Subject: keep(mainlog.Unescape(e.Subject)),
		Reference: keep(e.Reference), Size: e.Size,
	}
	if m.Host = keep(e.PTR); m.Host == "" {
		m.Host = keep(e.HELO)
	}
	switch method, login, _ := strings.Cut(e.Auth, ":"); {
	case login != "":
		m.Account, m.LoggedIn = keep(login), true
	case method != "": // that has no server_set_id
		m.Account, m.LoggedIn = keep(e.Auth), true
	case !e.Client.IsValid():
		m.Account = keep(e.Ident)
	}
	for to := range e.Recipients() {
		if m.listed++; len(m.Recipients) < maxRecipients {
			m.Recipients = append(m.Recipients, keep(to))
		}
	}
	return m
}

// Ours reports whether a message was sent from this host, or by somebody who logged in: its sender is somebody to talk to.
func (m *Message) Ours() bool { return !m.Client.IsValid() || m.Client.IsLoopback() || m.LoggedIn }
