package origin

import (
	"errors"
	"sync"
	"time"
)

// Stamps makes the stamps of a host, and tells what they stand for. Until Open has succeeded it makes none, and mail goes
// without. The zero Stamps is ready for Open; it is safe for concurrent use.
type Stamps struct {
	Book Book

	writing sync.Mutex // held to change the file: no stamp waits for a disk
	mu      sync.Mutex
	path    string // of the keys; empty: not open
	keys    Keys
}

// Open takes the keys of a file, which is made if it is not there. An error leaves the keys of before in force.
func (s *Stamps) Open(path string, now time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	k, err := OpenKeys(path, now)
	if err != nil {
		return err
	}
	s.use(path, k)
	return nil
}

// Rotate signs with a new key from now on, and returns its id. Stamps of before are still told.
func (s *Stamps) Rotate(now time.Time) (id string, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	path, k := s.inForce()
	if path == "" {
		return "", errors.New("there are no keys: see the daemon's log")
	}
	if k, err = k.Rotate(path, now); err != nil {
		return "", err
	}
	s.use(path, k)
	return k.Signer(), nil
}

func (s *Stamps) use(path string, k Keys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path, s.keys = path, k
}

func (s *Stamps) inForce() (path string, k Keys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.path, s.keys
}

// Stamp returns the header field of a message, and writes down what its tokens stand for; nothing where there is no key.
func (s *Stamps) Stamp(m *Mail) (field string) {
	_, keys := s.inForce()
	stamp, ok := keys.Sign(m)
	if !ok {
		return ""
	}
	for _, n := range []Name{
		{Token: stamp.Account, Kind: kindAccount, Text: m.Account, UID: m.UID},
		{Token: stamp.Dir, Kind: kindDirectory, Text: m.Dir},
		{Token: stamp.Program, Kind: kindProgram, Text: m.Program},
	} {
		n.Text, n.Seen = escape(n.Text), m.Time
		s.Book.note(n)
	}
	return stamp.Field()
}

// Told is what a stamp says, as far as this host can tell. Texts are escaped, as in a Book.
type Told struct {
	Known  bool // its key is one of this host
	Sealed bool // and the seal is that key's: it was made here, and nothing of it has been changed

	Account, Dir, Program string // empty: not known, or forgotten
	UID                   *uint32
}

// Tell opens a stamp. Of one that is not sealed here it tells nothing.
func (s *Stamps) Tell(stamp *Stamp) (t Told) {
	_, keys := s.inForce()
	t.Known, t.Sealed = keys.Ours(stamp)
	if !t.Sealed {
		return t
	}
	account, _ := s.Book.find(stamp.Account)
	dir, _ := s.Book.find(stamp.Dir)
	program, _ := s.Book.find(stamp.Program)
	t.Account, t.UID, t.Dir, t.Program = account.Text, account.UID, dir.Text, program.Text
	return t
}
