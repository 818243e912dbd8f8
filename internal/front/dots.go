package front

// dots finds the end of a message, and refuses to where two servers could find different ends: a message that one of them
// takes for two carries a second one past the checks of the other ("SMTP smuggling", 2023). RFC 5321 4.1.1.4 ends a
// message by <CR><LF>.<CR><LF> and by nothing else; RFC 5321 2.3.8 forbids CR and LF alone. So a line that is nothing but
// a dot, with an end before or behind it that is not exactly <CR><LF>, is refused, where a line ends by LF, by CR and by
// both; NULs, which some servers drop, do not make it another line. <CR><CR><LF> is not exactly one either.
//
// Elsewhere a bare CR or LF stands in real mail, which Exim takes, and so does this. The zero dots are at the first octet
// behind the line DATA.
type dots struct {
	inexact bool // the line before did not end by exactly CR LF
	content content
	cr      bool // the last octet is a CR, whose LF may come
	doubled bool // and the one before it was, too
	nul     bool // the line has a NUL
}

type content uint8

const (
	nothing content = iota
	oneDot
	anything
)

// verdict is what dots finds.
type verdict uint8

const (
	within   verdict = iota // the message goes on
	ended                   // it has ended
	smuggled                // it has a line that others may take for its end
)

// scan reads on, up to the octet that decides, and returns how many octets that took.
func (d *dots) scan(b []byte) (n int, v verdict) {
	for i, c := range b {
		if v := d.next(c); v != within {
			return i + 1, v
		}
	}
	return len(b), within
}

func (d *dots) next(c byte) verdict {
	if d.cr {
		d.cr = false
		if c == '\n' {
			return d.endLine(!d.doubled)
		}
		d.doubled = c == '\r'
		if v := d.endLine(false); v != within {
			return v
		}
	} else if c != '\n' {
		d.doubled = false
	}
	switch {
	case c == '\r':
		d.cr = true
	case c == '\n':
		return d.endLine(false)
	case c == 0:
		d.nul = true
	case c == '.' && d.content == nothing:
		d.content = oneDot
	default:
		d.content = anything
	}
	return within
}

func (d *dots) endLine(exact bool) verdict {
	lone, clean := d.content == oneDot, exact && !d.inexact && !d.nul
	d.content, d.nul, d.inexact = nothing, false, !exact
	switch {
	case lone && clean:
		return ended
	case lone:
		return smuggled
	}
	return within
}
