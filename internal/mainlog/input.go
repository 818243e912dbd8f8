package mainlog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Input is one file of a log, or another source.
type Input struct {
	// Name is shown, and tells a set of rotated files by its end and a reject log by the word reject (see Order).
	Name string
	// Open opens the source. It is called once for reading, and for a file before that by Order.
	Open func() (io.ReadCloser, error)
	// Modified is the last moment that the source can tell of; the zero value is now.
	Modified time.Time

	once  bool  // it cannot be opened twice
	inode inode // of a file: the same one may have several names
}

// inode is which file a file is. The zero inode is not known.
type inode struct{ dev, ino uint64 }

// File is a log file, plain or compressed by gzip. The name "-" is standard input, which cannot be looked at beforehand; nor can
// a pipe.
func File(name string) Input {
	if name == "-" {
		return Stream("-", os.Stdin)
	}
	in := Input{Name: name, Open: func() (io.ReadCloser, error) { return os.Open(name) }}
	if info, err := os.Stat(name); err == nil {
		in.Modified, in.once = info.ModTime(), !info.Mode().IsRegular()
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			in.inode = inode{uint64(stat.Dev), stat.Ino}
		}
	}
	return in
}

// OwnFile is File for a log that was found in the folder of another user, Exim's as a rule, who can put a link or a pipe into its
// place at any time: neither is followed or waited for.
func OwnFile(name string) Input {
	in := File(name)
	in.Open = func() (io.ReadCloser, error) {
		f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return nil, errors.Join(errNoFile, err, f.Close())
		}
		return f, nil
	}
	return in
}

// errNoFile says that somebody has put something else into the place of a log.
var errNoFile = errors.New("it is no file")

// Stream is a reader that is read once and not closed.
func Stream(name string, r io.Reader) Input {
	return Input{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(r), nil }, once: true}
}

// Fault is what went wrong with an input. What was read before it counts.
type Fault struct {
	Input string
	Line  int // the last one that was read
	Err   error
}

// Error names the input, escaped where others can choose it, and what went wrong.
func (f *Fault) Error() string {
	err := f.Err
	if path := new(fs.PathError); errors.As(err, &path) {
		err = path.Err // it names the input once more
	}
	name := strconv.Quote(f.Input)
	if name == `"`+f.Input+`"` {
		name = f.Input
	}
	return name + ": " + err.Error()
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// errCutGzip says what an end in the middle of a compressed file means.
var errCutGzip = errors.New("the compressed file ends in the middle: it was cut, or is still being written")

// errUTF16 says why an input has no entries.
var errUTF16 = errors.New("text in UTF-16, which Exim never writes: convert it to UTF-8")

// compressions that are not undone, by the first octets: a file of theirs must not pass for a log with nothing in it.
var compressions = [...]struct{ start, name string }{{"\xfd7zXZ\x00", "xz"}, {"\x28\xb5\x2f\xfd", "zstd"}, {"BZh", "bzip2"}}

// plain undoes compression by gzip, which it finds by the first octets and not by the name.
func plain(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, chunkSize)
	start, err := b.Peek(6)
	if errors.Is(err, io.EOF) { // that is all: who reads on would wait for another end, where somebody types
		b = bufio.NewReader(bytes.NewReader(start))
	}
	for _, c := range compressions {
		if bytes.HasPrefix(start, []byte(c.start)) {
			return nil, fmt.Errorf("compressed by %s, and only gzip is undone: unpack it first, or pipe it in by %s -dc", c.name, c.name)
		}
	}
	start = start[:min(len(start), 3)]
	switch {
	case len(start) > 1 && start[0] == 0x1f && start[1] == 0x8b:
		return gzip.NewReader(b)
	case len(start) == 3 && string(start) == "\xef\xbb\xbf": // a mark of UTF-8
		_, err := b.Discard(3)
		return b, err
	}
	return b, nil
}
