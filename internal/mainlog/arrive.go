package mainlog

import "strings"

// arrival reads what follows "<= ": the sender, the bounced message, the host or the login, then tags in any order, at last
// "from <sender> for recipients".
func arrival(e *Event, s string) bool {
	n := addressEnd(s, ' ')
	e.Sender, e.HasSender = s[:n], true
	if e.Sender == "<>" {
		e.Sender = ""
	}
	s = s[n:]
	for {
		s = strings.TrimPrefix(s, " ")
		switch {
		case strings.HasPrefix(s, "H="):
			return hosted(e, s[2:], lastOne, arrivalTail)
		case strings.HasPrefix(s, "R="), strings.HasPrefix(s, "U="), strings.HasPrefix(s, "P="):
			s = s[2+tagValue(e, s[:1], s[2:]):]
		case strings.HasPrefix(s, "DS "):
			s = s[3:]
		default:
			return arrivalTail(e, s)
		}
	}
}

// arrivalTail reads all tags of an arrival after its host. An arrival has a protocol, and no words but tags and flags; of one that
// has, like a login with a blank in it, the rest is read all the same.
func arrivalTail(e *Event, s string) bool {
	for known := true; ; {
		s = tags(e, s)
		switch {
		case s == "":
			return known && e.Protocol != ""
		case strings.HasPrefix(s, "from "):
			n := addressEnd(s[5:], ' ')
			s = s[5+n:]
		case strings.HasPrefix(s, "for "):
			e.For = s[4:]
			return known && e.Protocol != ""
		default: // K, L, L-, L., L.-, L*, DS, PRDR, TFO and whatever a later Exim adds
			n := strings.IndexByte(s, ' ')
			if n < 0 {
				n = len(s)
			}
			known = known && isFlag(s[:n])
			s = s[n:]
		}
	}
}

const maxFlag = 12 // characters of a tag without a value; the longest known has 4

func isFlag(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '*' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= maxFlag
}
