package origin

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FieldName is the header field that says where a message came from. The snippets strip copies from elsewhere.
const FieldName = "X-Eximpolicyd-Origin"

// Bounds of a stamp. With all of them it has at most 700 octets: below RFC 5322's 998 even where a relay unfolds it.
const (
	maxStamp = 998 // octets of one that is read
	maxWords = 16  // in it; this version writes 12
	maxWord  = 255 // octets of one: a host name, RFC 1035 2.3.4
	lineRoom = 76  // RFC 5322 2.1.1 would have 78
)

// A Mail is what a stamp is made of: who sent a message, which message it is, and when. What is empty is not known. Texts
// are raw, as Exim and the kernel gave them.
type Mail struct {
	Time   time.Time
	Host   string // ours
	Queue  string // Exim's id of the message
	Source string // sendmail, smtp or login: a word, for all to read

	Account, Dir, Program string  // which the world sees as tokens
	UID                   *uint32 // of the account, if it is of this machine

	MessageID, Date, From string // values of the header fields; empty where there is not exactly one that is known whole
}

// A Stamp is a field as it is written: words, each a letter and a value.
//
//	v  1, the version            t  seconds since 1970, of when it was made
//	k  the key that signs        h  the host              q  Exim's id of the message there
//	s  sendmail, smtp, login     a  the account           d  the directory              p  the program
//	f  letters of the header fields that m binds: i Message-ID, d Date, f From          m  their digest
//	b  the seal of all words before it
//
// Accounts, directories and programs are tokens: an HMAC-SHA-256 with the host's key, of which 96 bits stand here. The same
// directory has the same token, so that whoever gets much of this mail can group it; without the key nobody can try names.
// The seal is one of 128 bits. It holds the queue id and the digest, so that a stamp that is put on another message shows.
type Stamp struct {
	Time                  time.Time
	Key, Host, Queue      string
	Source                string
	Account, Dir, Program string // tokens, empty where nothing was known
	Bound, Digest         string

	signed string // all words before the seal, as they stand there
	seal   string
}

// tokenSize and sealSize are of octets, before base64.
const (
	tokenSize  = 12
	sealSize   = 16
	digestSize = 12
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// words are all of a stamp but its seal.
func (s *Stamp) words() string {
	var b strings.Builder
	b.WriteString("v=1")
	for _, w := range []struct{ letter, value string }{
		{"t", strconv.FormatInt(s.Time.Unix(), 10)}, {"k", s.Key}, {"h", s.Host}, {"q", s.Queue}, {"s", s.Source},
		{"a", s.Account}, {"d", s.Dir}, {"p", s.Program}, {"f", s.Bound}, {"m", s.Digest},
	} {
		if w.value != "" {
			b.WriteString(" " + w.letter + "=" + w.value)
		}
	}
	return b.String()
}

// Field writes the header field, folded, without a line end behind it.
func (s *Stamp) Field() string {
	var b strings.Builder
	b.WriteString(FieldName + ":")
	room := lineRoom - b.Len()
	for w := range strings.SplitSeq(s.signed+" b="+s.seal, " ") {
		if room -= 1 + len(w); room < 0 {
			b.WriteString("\n")
			room = lineRoom - 1 - len(w)
		}
		b.WriteString(" " + w)
	}
	return b.String()
}

var errStamp = errors.New("no " + FieldName + " of this version")

// ParseStamp reads a field, with or without its name, folded or not. That it can be read says nothing about who wrote it.
func ParseStamp(field string) (Stamp, error) {
	value := field
	if name, after, ok := strings.Cut(field, ":"); ok && strings.EqualFold(strings.TrimSpace(name), FieldName) {
		value = after
	}
	if len(value) > maxStamp {
		return Stamp{}, fmt.Errorf("%w: it has over %d octets", errStamp, maxStamp)
	}
	words := strings.Fields(value)
	if len(words) < 3 || len(words) > maxWords || words[0] != "v=1" {
		return Stamp{}, fmt.Errorf("%w: it does not begin with v=1", errStamp)
	}
	s := Stamp{}
	last := len(words) - 1
	seen := map[string]bool{"v": true}
	for i, w := range words[1:] {
		letter, v, ok := strings.Cut(w, "=")
		if !ok || len(letter) != 1 || seen[letter] || !plain(v) || (letter == "b") != (i+1 == last) {
			return Stamp{}, fmt.Errorf("%w: its word %d is damaged", errStamp, i+2)
		}
		seen[letter] = true
		if err := s.take(letter, v); err != nil {
			return Stamp{}, err
		}
	}
	if s.seal == "" || s.Key == "" || !seen["t"] {
		return Stamp{}, fmt.Errorf("%w: it lacks its time, its key or its seal", errStamp)
	}
	s.signed = strings.Join(words[:last], " ")
	return s, nil
}

// take puts the value of a word into its place. A letter that this version does not know is sealed all the same.
func (s *Stamp) take(letter, v string) error {
	if letter == "t" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 || n > 1<<40 {
			return fmt.Errorf("%w: its time is none", errStamp)
		}
		s.Time = time.Unix(n, 0).UTC()
		return nil
	}
	for _, place := range []struct {
		letter string
		at     *string
	}{
		{"k", &s.Key}, {"h", &s.Host}, {"q", &s.Queue}, {"s", &s.Source}, {"a", &s.Account}, {"d", &s.Dir}, {"p", &s.Program},
		{"f", &s.Bound}, {"m", &s.Digest}, {"b", &s.seal},
	} {
		if place.letter == letter {
			*place.at = v
		}
	}
	return nil
}

// plain reports whether a value can stand in a stamp: of these octets no mail server on the way makes others.
func plain(v string) bool {
	if v == "" || len(v) > maxWord {
		return false
	}
	for i := 0; i < len(v); i++ {
		if c := v[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-_.:", c) < 0 {
			return false
		}
	}
	return true
}

// Fits reports whether a stamp belongs to a message with these header fields: raw values, as with Mail. A stamp that binds
// none fits all. Blanks and folding do not count, which a mail server on the way may change.
func (s *Stamp) Fits(messageID, date, from string) bool {
	if s.Bound == "" {
		return true
	}
	var values []string
	for i := range len(s.Bound) {
		switch s.Bound[i] {
		case 'i':
			values = append(values, messageID)
		case 'd':
			values = append(values, date)
		case 'f':
			values = append(values, from)
		default:
			return false // bound to what this version does not know
		}
	}
	return digest(values) == s.Digest
}

// bind notes which fields a message has, and their digest. It needs no key: the seal is over it.
func (s *Stamp) bind(m *Mail) {
	var values []string
	for _, f := range []struct{ letter, value string }{{"i", m.MessageID}, {"d", m.Date}, {"f", m.From}} {
		if strings.TrimSpace(f.value) != "" {
			s.Bound += f.letter
			values = append(values, f.value)
		}
	}
	if s.Bound != "" {
		s.Digest = digest(values)
	}
}

func digest(values []string) string {
	h := sha256.New()
	for _, v := range values {
		fmt.Fprintf(h, "%s\n", strings.Join(strings.Fields(v), " "))
	}
	return encode(h.Sum(nil)[:digestSize])
}
