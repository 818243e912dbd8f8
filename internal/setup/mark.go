package setup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
)

// markLine is the first line of a file of ours, or the line before one of ours in a file of the administrator's.
var markLine = regexp.MustCompile(`^# eximpolicyd setup (\S+) sha256=([0-9a-f]{64})\n`)

func checksum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// marked puts the mark before a text of ours.
func marked(version, text string) []byte {
	return fmt.Appendf(nil, "# eximpolicyd setup %s sha256=%s\n%s", version, checksum([]byte(text)), text)
}

// state is what a file of ours is on the disk.
type state int

// The states. What has no mark is somebody else's.
const (
	missing state = iota
	current
	outdated // made by another version, or with other options, and not touched since
	edited   // ours, but changed since
	foreign
)

// judge says what a file is that should have this text.
func judge(have []byte, want string) state {
	m := markLine.FindSubmatchIndex(have)
	switch {
	case m == nil:
		return foreign
	case checksum(have[m[1]:]) != string(have[m[4]:m[5]]):
		return edited
	case string(have[m[1]:]) != want:
		return outdated
	}
	return current
}

// A pair is a mark and the line of ours below it, in a file of the administrator's.
type pair struct {
	from, to int    // where it is, line ends included
	line     int    // of the line below the mark, from 1
	text     string // that line
	edited   bool
}

// pairs finds what we have added to a file.
func pairs(file []byte) (list []pair) {
	at, line := 0, 1
	for at < len(file) {
		end := bytes.IndexByte(file[at:], '\n')
		if end < 0 {
			break
		}
		m := markLine.FindSubmatch(file[at : at+end+1])
		if m == nil {
			at, line = at+end+1, line+1
			continue
		}
		next := at + end + 1
		below := len(file)
		if i := bytes.IndexByte(file[next:], '\n'); i >= 0 {
			below = next + i + 1
		}
		text := file[next:below]
		list = append(list, pair{at, below, line + 1, string(text), checksum(text) != string(m[2])})
		at, line = below, line+2
	}
	return list
}

// without takes what we have added out of a file. A line below a mark that is not what we wrote stays.
func without(file []byte) []byte {
	var b []byte
	at := 0
	for _, p := range pairs(file) {
		if p.edited {
			continue
		}
		b = append(b, file[at:p.from]...)
		at = p.to
	}
	return append(b, file[at:]...)
}
