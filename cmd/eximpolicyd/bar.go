package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"eximpolicyd/internal/mainlog"
)

// bar shows on a terminal how much of some files has been read, in octets as they are on the disk. Whoever reads moves it;
// elsewhere than on a terminal it shows nothing.
type bar struct {
	inputs []mainlog.Input

	read  atomic.Int64
	all   int64
	stop  chan struct{} // nil: it does not run
	draws sync.WaitGroup
}

// newBar makes one for files, each of which becomes an input by as; "-" is standard input, of which nobody knows the length.
func newBar(w io.Writer, files []string, as func(string) mainlog.Input) *bar {
	b := &bar{}
	show := isTerminal(w)
	for _, name := range files {
		in := as(name)
		if info, err := os.Stat(name); err == nil && name != "-" {
			b.all += info.Size()
		}
		if open := in.Open; show {
			in.Open = func() (io.ReadCloser, error) {
				file, err := open()
				return barFile{file, &b.read}, err
			}
		}
		b.inputs = append(b.inputs, in)
	}
	if show {
		b.stop = make(chan struct{})
		b.draws.Go(func() { b.draw(w) }) // Close waits for it, and ends it
	}
	return b
}

// barFile is a file that moves the bar.
type barFile struct {
	io.ReadCloser
	read *atomic.Int64
}

func (f barFile) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	f.read.Add(int64(n))
	return n, err
}

const (
	barWidth = 40
	barStep  = 200 * time.Millisecond
)

// draw writes the line again and again.
func (b *bar) draw(w io.Writer) {
	tick := time.NewTicker(barStep)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprint(w, barLine(b.read.Load(), b.all))
		case <-b.stop:
			fmt.Fprint(w, "\r\x1b[K")
			return
		}
	}
}

// barLine writes where the bar is. The starts of rotated files are read twice, for their order.
func barLine(read, all int64) string {
	if all == 0 {
		return fmt.Sprintf("\r%d MB", read>>20)
	}
	part := min(float64(read)/float64(all), 1)
	full := int(part * barWidth)
	return fmt.Sprintf("\r[%s%s] %3.0f%% of %d MB", strings.Repeat("#", full), strings.Repeat(" ", barWidth-full), 100*part, all>>20)
}

// Close removes the bar.
func (b *bar) Close() {
	if b.stop != nil {
		close(b.stop)
		b.draws.Wait()
		b.stop = nil
	}
}
