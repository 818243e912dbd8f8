package origin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Bounds of a book.
const (
	maxAccounts = 8192    // that send mail: a host of 5,000 sites has as many
	maxPlaces   = 16384   // directories and programs
	maxOctets   = 4 << 20 // of the text of each: 256 a place
	maxText     = 1024    // octets of one, as the snippet sends; escaped, four times as many
	maxNameLine = 16 << 10
)

// Book knows what the tokens of stamps stand for. A token can't be calculated back, and to try all directories of a disk would
// take long, so each is written down when it is made.
//
// Accounts have a shelf of their own: a user calls his directories and programs what he likes, and could else have everybody's
// account forgotten.
//
// Bound: maxAccounts, maxPlaces and maxOctets; what has not been seen for the longest time goes first. Lost on restart unless
// Save and Load keep it. A forgotten name is a token that can't be told any more; that the stamp is ours can. The zero Book is
// empty and ready; it is safe for concurrent use.
type Book struct {
	mu               sync.Mutex
	accounts, places shelf
	edition          uint64
}

// A shelf holds the names of some kinds, and how many octets they take.
type shelf struct {
	names  *simplelru.LRU[string, Name]
	octets int
}

// Name is what a token stands for.
type Name struct {
	Token string    `json:"token"`
	Kind  string    `json:"kind"`          // account, directory or program
	Text  string    `json:"text"`          // as strconv.Quote escapes it, but for the quotes: a directory may be called anything
	UID   *uint32   `json:"uid,omitempty"` // of an account of this machine
	Seen  time.Time `json:"seen"`          // when it was written last
}

// Kinds of names.
const (
	kindAccount   = "account"
	kindDirectory = "directory"
	kindProgram   = "program"
)

// seenRest is between two notes of when a name was seen: they need not change the file for each message.
const seenRest = time.Hour

// note writes a name down, whose text is escaped.
func (b *Book) note(n Name) {
	if n.Token == "" || len(n.Text) > 4*maxText {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	on, most := &b.places, maxPlaces
	if n.Kind == kindAccount {
		on, most = &b.accounts, maxAccounts
	}
	if on.names == nil {
		on.names, _ = simplelru.NewLRU(most, func(_ string, gone Name) { on.octets -= gone.size() }) // fails at sizes below 1 only
	}
	if old, ok := on.names.Get(n.Token); ok {
		same := old.UID == nil && n.UID == nil || old.UID != nil && n.UID != nil && *old.UID == *n.UID
		if same && n.Seen.Sub(old.Seen) < seenRest {
			return
		}
		on.octets -= old.size()
	}
	on.names.Add(n.Token, n)
	on.octets += n.size()
	b.edition++
	for on.octets > maxOctets {
		on.names.RemoveOldest()
	}
}

// escape makes any text one of printable octets, on one line.
func escape(text string) string {
	q := strconv.Quote(text)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// printed reports whether a text may be one that escape wrote: whoever shows it need not look at it again.
func printed(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) })
}

// size is what a name takes in memory, about.
func (n *Name) size() int { return 128 + len(n.Token) + len(n.Text) }

// find returns what a token stands for.
func (b *Book) find(token string) (n Name, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, on := range []*shelf{&b.accounts, &b.places} {
		if on.names != nil && token != "" && !ok {
			n, ok = on.names.Peek(token)
		}
	}
	return n, ok
}

// Edition is another number whenever the book has changed.
func (b *Book) Edition() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.edition
}

// Forget removes an account, and returns whether it was there.
func (b *Book) Forget(account string) (gone int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.accounts.names == nil {
		return 0
	}
	for _, n := range b.accounts.names.Values() {
		if n.Text == account || n.UID != nil && fmt.Sprint(*n.UID) == account {
			b.accounts.names.Remove(n.Token)
			b.edition++
			gone++
		}
	}
	return gone
}

// Save writes a line of JSON for each name, of each shelf what was seen last at the end.
func (b *Book) Save(w io.Writer) error {
	b.mu.Lock()
	var names []Name
	for _, on := range []*shelf{&b.accounts, &b.places} {
		if on.names != nil {
			names = append(names, on.names.Values()...)
		}
	}
	b.mu.Unlock()
	out := bufio.NewWriter(w)
	for i := range names {
		line, err := json.Marshal(&names[i])
		if err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return out.Flush()
}

// Load takes in what Save has written. Damaged are the lines that are no name, which are left out; the error is the reader's.
func (b *Book) Load(r io.Reader) (taken, damaged int, err error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxNameLine)
	for in.Scan() {
		var n Name
		if json.Unmarshal(bytes.TrimSpace(in.Bytes()), &n) != nil || n.Kind != kindAccount && n.Kind != kindDirectory && n.Kind != kindProgram ||
			!plain(n.Token) || n.Text == "" || len(n.Text) > 4*maxText || !printed(n.Text) {
			damaged++
			continue
		}
		b.note(n)
		taken++
	}
	if err = in.Err(); errors.Is(err, bufio.ErrTooLong) {
		damaged, err = damaged+1, nil // and what follows
	}
	return taken, damaged, err
}
