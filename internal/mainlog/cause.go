package mainlog

import "strings"

// Cause is why Exim said no, as far as its words tell. The words are the configuration's, so that this is a guess from those
// of the default configuration, of Debian, cPanel and the usual recipes; OtherCause is what is none of them.
type Cause uint8

// The causes.
const (
	NoCause    Cause = iota
	OtherCause       // a reason in words that are not known here
	Ours             // a rule of this daemon: see Rule
	UnknownUser
	RelayDenied
	SenderFailed // sender verification
	Listed       // a DNS block list
	RateLimited
	BadGreeting // the HELO name
	NeedsAuth
	NeedsTLS
	BadAddress // characters in it, or its syntax
	Virus
	Spam
	BadHeader // syntax of a header field, a missing one
	OverQuota
	Greylisted
	LookupFailed // something could not be looked up or verified now
	TooBig

	causes
)

// String names a cause in the words of a report.
func (c Cause) String() string {
	return [...]string{"none", "other", "our rule", "unknown user", "relay denied", "sender verify failed", "block list", "rate limit",
		"greeting", "login needed", "TLS needed", "bad address", "virus", "spam", "header", "quota", "greylisted", "lookup failed",
		"too big", "no cause"}[min(c, causes)]
}

// causeOf guesses the cause from the words.
func causeOf(reason string) Cause {
	switch reason { // Exim's own words, which most have
	case "":
		return NoCause
	case "Unrouteable address", "Unroutable address", "unknown user", "Unknown user", "No Such User Here":
		return UnknownUser
	case "there is no valid sender in any header line":
		return BadHeader
	case "relay not permitted":
		return RelayDenied
	case "Sender verify failed":
		return SenderFailed
	}
	var buf [160]byte
	low := string(lower(buf[:0], reason))
	for _, w := range causeWords {
		if strings.Contains(low, w.word) {
			return w.cause
		}
	}
	return OtherCause
}

// lower appends the start of s in small letters; more than fits says nothing new.
func lower(b []byte, s string) []byte {
	for i := 0; i < len(s) && len(b) < cap(b); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		b = append(b, c)
	}
	return b
}

// causeWords are asked in this order: what names its cause outright, then what may be part of another's words.
var causeWords = [...]struct {
	word  string
	cause Cause
}{
	{"black list", Listed}, // first, since most have it
	{"sender verify failed", SenderFailed},
	{"could not complete", LookupFailed},
	{"relay not permitted", RelayDenied},
	{"relaying", RelayDenied},
	{"relay access", RelayDenied},
	{"not permitted to relay", RelayDenied},
	{"blacklist", Listed},
	{"blocklist", Listed},
	{"block list", Listed},
	{"dnsbl", Listed},
	{"dnslist", Listed},
	{"in an rbl", Listed},
	{"spamhaus", Listed},
	{"ratelimit", RateLimited},
	{"rate limit", RateLimited},
	{"sender rate", RateLimited},
	{"too many", RateLimited},
	{"unrouteable", UnknownUser},
	{"unroutable", UnknownUser},
	{"unknown user", UnknownUser},
	{"user unknown", UnknownUser},
	{"no such user", UnknownUser},
	{"no such recipient", UnknownUser},
	{"does not exist", UnknownUser},
	{"unknown recipient", UnknownUser},
	{"unknown local", UnknownUser},
	{"mailbox unavailable", UnknownUser},
	{"invalid recipient", UnknownUser},
	{"greylist", Greylisted},
	{"graylist", Greylisted},
	{"helo", BadGreeting},
	{"ehlo", BadGreeting},
	{"starttls", NeedsTLS},
	{"encryption required", NeedsTLS},
	{"auth is required", NeedsAuth},
	{"authentication required", NeedsAuth},
	{"authentication is required", NeedsAuth},
	{"restricted characters", BadAddress},
	{"malformed", BadAddress},
	{"virus", Virus},
	{"malware", Virus},
	{"over quota", OverQuota},
	{"mailbox is full", OverQuota},
	{"mailbox full", OverQuota},
	{"message too big", TooBig},
	{"too large", TooBig},
	{"header", BadHeader},
	{"message-id", BadHeader},
	{"spam", Spam},
	{"host lookup did not complete", LookupFailed},
}
