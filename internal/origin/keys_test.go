package origin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestTheFirstStartMakesAKeyThatLaterOnesFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	first, err := OpenKeys(path, made)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
	again, err := OpenKeys(path, made.Add(time.Hour))
	if err != nil || again.Signer() != first.Signer() || len(again.Signer()) != 8 {
		t.Errorf("%q, then %q, %v", first.Signer(), again.Signer(), err)
	}
	stamp, ok := first.Sign(aMail())
	if known, sealed := again.Ours(&stamp); !ok || !known || !sealed {
		t.Error("a restart does not know its own stamp")
	}
}

func TestOfManyThatStartAtOnceOneMakesTheKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	var all sync.WaitGroup
	var ids [20]string
	for i := range ids {
		all.Go(func() {
			k, err := OpenKeys(path, made)
			if err != nil {
				t.Error(err)
			}
			ids[i] = k.Signer()
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("%q", ids)
		}
	}
}

func TestRotatedKeysStillTellWhatTheySigned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	s := &Stamps{}
	if err := s.Open(path, made); err != nil {
		t.Fatal(err)
	}
	old := parse(t, s.Stamp(aMail()))
	for range maxKeys - 1 {
		if id, err := s.Rotate(made); err != nil || id == old.Key {
			t.Fatal(id, err)
		}
	}
	fresh := parse(t, s.Stamp(aMail()))
	if fresh.Key == old.Key || fresh.Account == old.Account {
		t.Errorf("%+v", fresh)
	}
	next := &Stamps{} // after a restart, without the names
	if err := next.Open(path, made); err != nil {
		t.Fatal(err)
	}
	for _, stamp := range []*Stamp{old, fresh} {
		if got := s.Tell(stamp); !got.Sealed || got.Account != "nobody" {
			t.Errorf("%+v", got)
		}
		if got := next.Tell(stamp); !got.Sealed || got.Account != "" {
			t.Errorf("%+v", got)
		}
	}
	if _, err := s.Rotate(made); err != nil {
		t.Fatal(err)
	}
	if got := s.Tell(old); got.Known {
		t.Errorf("the oldest of %d keys is still there", maxKeys+1)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := (&Stamps{}).Rotate(made); err == nil {
		t.Error("a key was rotated that is not there")
	}
}

// A file that is not as we left it is told of and not touched: mail goes without the field.
func TestAKeyThatCanNotBeTrustedIsNotUsedAndNotReplaced(t *testing.T) {
	good := func(t *testing.T) (path, text string) {
		path = filepath.Join(t.TempDir(), "keys")
		if _, err := OpenKeys(path, made); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return path, string(b)
	}
	_, sample := good(t)
	secret := strings.Fields(strings.Split(sample, "\n")[1])[0]
	texts := map[string]string{
		"empty": "", "only a comment": keysHead, "cut in the middle": sample[:len(sample)-30], "cut before its line end": strings.TrimSuffix(sample, "\n"),
		"a short secret": keysHead + secret[:40] + "=== 2026-11-25T19:12:31Z\n", "no secret": keysHead + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= 2026-11-25T19:12:31Z\n",
		"no time": keysHead + secret + "\n", "three words": strings.Replace(sample, " 20", " x 20", 1), "a key and rubbish": sample + "rubbish\n",
		"binary": "\x00\x01\x02\xff", "too large": sample + strings.Repeat("# more\n", maxFile/7+1),
	}
	for name, text := range texts {
		path, _ := good(t)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := OpenKeys(path, made)
		if err == nil || k.Signer() != "" || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
		if now, _ := os.ReadFile(path); string(now) != text {
			t.Errorf("%s: the file has changed", name)
		}
	}
	for name, spoil := range map[string]func(path string) error{
		"readable by all":   func(path string) error { return os.Chmod(path, 0o604) },
		"writable by group": func(path string) error { return os.Chmod(path, 0o620) },
		"a link": func(path string) error {
			return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path))
		},
		"a folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"a pipe":   func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) },
		"another user's": func(path string) error {
			if os.Getuid() != 0 {
				return os.Chmod(path, 0o604) // which is as bad
			}
			return os.Chown(path, 65534, 65534)
		},
	} {
		path, _ := good(t)
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		s := &Stamps{}
		if err := s.Open(path, made); err == nil || s.Stamp(aMail()) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenKeys(filepath.Join(t.TempDir(), "missing", "keys"), made); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A reload that finds a damaged file goes on with the keys it has.
func TestDamageAfterTheStartLeavesTheKeysInForce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	s := &Stamps{}
	if err := s.Open(path, made); err != nil {
		t.Fatal(err)
	}
	stamp := parse(t, s.Stamp(aMail()))
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Open(path, made); err == nil || !s.Tell(stamp).Sealed || s.Stamp(aMail()) == "" {
		t.Error(err)
	}
}
