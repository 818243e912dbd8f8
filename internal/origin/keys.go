package origin

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// Of the file of keys.
const (
	keySize = 32 // octets, as many as SHA-256 has
	maxKeys = 64 // rotated ones; the oldest goes
	maxFile = 16 << 10
)

// keysHead is the first line of the file.
const keysHead = "# eximpolicyd: keys of " + FieldName + ", the one that signs first. Who has them can forge that field.\n"

// Keys are what a host seals its stamps with. The first one signs; the others are of before, and still open what they
// signed. Keys are never changed, only replaced. The zero Keys have none.
type Keys struct{ list []key }

type key struct {
	id     string // eight hexadecimal digits of the secret's SHA-256: they tell keys apart, and nothing about them
	secret [keySize]byte
	made   time.Time
}

func newKey(now time.Time) (k key) {
	rand.Read(k.secret[:]) // never fails, see crypto/rand
	return k.named(now)
}

func (k key) named(made time.Time) key {
	sum := sha256.Sum256(k.secret[:])
	k.id, k.made = hex.EncodeToString(sum[:4]), made
	return k
}

// mac is a keyed hash for one purpose, so that a token is never a seal.
func (k *key) mac(purpose, text string, octets int) string {
	h := hmac.New(sha256.New, k.secret[:])
	io.WriteString(h, purpose+"\x00"+text)
	return encode(h.Sum(nil)[:octets])
}

// OpenKeys reads the keys of a host from a file, and makes the file with a new key where there is none. A file that is
// damaged, or that somebody else can read or write, is an error and stays as it is: another key would make strangers of all
// stamps of before.
func OpenKeys(path string, now time.Time) (Keys, error) {
	k, err := readKeys(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := writeFirst(path, Keys{[]key{newKey(now)}}.text()); err != nil && !errors.Is(err, fs.ErrExist) {
		return Keys{}, err
	}
	return readKeys(path)
}

// readKeys follows no link, and waits for no pipe.
func readKeys(path string) (Keys, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return Keys{}, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Keys{}, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return Keys{}, fmt.Errorf("%s is no file", path)
	case st.Uid != 0 && int(st.Uid) != os.Getuid():
		return Keys{}, fmt.Errorf("%s is of uid %d: give it to the daemon's user", path, st.Uid)
	case st.Mode&0o077 != 0:
		return Keys{}, fmt.Errorf("%s can be read or written by others: chmod 0600, and take a new key if somebody has read it", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Keys{}, err
	}
	k, err := parseKeys(text)
	if err != nil {
		return Keys{}, fmt.Errorf("%s: %w; restore it, or move it away for a new key", path, err)
	}
	return k, nil
}

// text writes a line a key: its secret in base64, and when it was made.
func (k Keys) text() []byte {
	var b bytes.Buffer
	b.WriteString(keysHead)
	for i := range k.list {
		fmt.Fprintf(&b, "%s %s\n", base64.StdEncoding.EncodeToString(k.list[i].secret[:]), k.list[i].made.UTC().Format(time.RFC3339))
	}
	return b.Bytes()
}

// parseKeys reads what text writes. One bad line makes all of it bad: its key may be the one that signs.
func parseKeys(text []byte) (k Keys, err error) {
	if len(text) > maxFile {
		return k, fmt.Errorf("over %d octets", maxFile)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if n++; strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if len(words) != 2 || !strings.HasSuffix(line, "\n") {
			return Keys{}, fmt.Errorf("line %d is damaged", n)
		}
		secret, bad := base64.StdEncoding.Strict().DecodeString(words[0])
		made, err := time.Parse(time.RFC3339, words[1])
		if bad != nil || err != nil || len(secret) != keySize || bytes.Equal(secret, make([]byte, keySize)) {
			return Keys{}, fmt.Errorf("line %d is damaged", n)
		}
		k.list = append(k.list, key{secret: [keySize]byte(secret)}.named(made))
	}
	if len(k.list) == 0 {
		return Keys{}, errors.New("there is no key in it")
	}
	return k, nil
}

// writeFirst makes a file, whole, where there is none. The name comes last, so that nobody ever reads a part; renaming over
// it would take a key that another has just made.
func writeFirst(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"*") // 0600, O_EXCL
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Rotate puts a new key before those there are, and returns them when they are on the disk.
func (k Keys) Rotate(path string, now time.Time) (Keys, error) {
	next := Keys{append([]key{newKey(now)}, k.list...)}
	next.list = next.list[:min(len(next.list), maxKeys)]
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return k, err
	}
	defer f.Cleanup()
	if _, err := f.Write(next.text()); err != nil {
		return k, err
	}
	if err := errors.Join(f.CloseAtomicallyReplace(), syncDir(filepath.Dir(path))); err != nil {
		return k, err
	}
	return next, nil
}

// Signer is the id of the key that signs, or nothing.
func (k Keys) Signer() string {
	if len(k.list) == 0 {
		return ""
	}
	return k.list[0].id
}

// Sign makes the stamp of a message. Without a key there is none.
func (k Keys) Sign(m *Mail) (s Stamp, ok bool) {
	if len(k.list) == 0 {
		return s, false
	}
	by := &k.list[0]
	token := func(purpose, text string) string {
		if text == "" {
			return ""
		}
		return by.mac(purpose, text, tokenSize)
	}
	s = Stamp{
		Time: m.Time, Key: by.id, Host: orNothing(m.Host), Queue: orNothing(m.Queue), Source: orNothing(m.Source),
		Account: token("account", m.Account), Dir: token("directory", m.Dir), Program: token("program", m.Program),
	}
	s.bind(m)
	s.signed = s.words()
	s.seal = by.mac("seal", s.signed, sealSize)
	return s, true
}

// orNothing leaves out what could not stand in a stamp: no name of a host or of a queue is like that.
func orNothing(s string) string {
	if !plain(s) {
		return ""
	}
	return s
}

// Ours reports whether a stamp names a key that is known here, and whether that key has sealed it.
func (k Keys) Ours(s *Stamp) (known, sealed bool) {
	for i := range k.list {
		if by := &k.list[i]; by.id == s.Key {
			known = true
			sealed = sealed || hmac.Equal([]byte(by.mac("seal", s.signed, sealSize)), []byte(s.seal))
		}
	}
	return known, sealed
}
