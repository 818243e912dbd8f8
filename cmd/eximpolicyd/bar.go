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
	show := isTerminal(w) && os.Getenv("TERM") != "dumb"
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
	barWidth     = 40 // of the bar, where there is room
	barNarrowest = 10
	barStep      = 200 * time.Millisecond
	clearLine    = "\r\x1b[K"
)

// draw writes the line again and again, as wide as the terminal is then.
func (b *bar) draw(w io.Writer) {
	tick := time.NewTicker(barStep)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprint(w, clearLine, barLine(b.read.Load(), b.all, columns(w)))
		case <-b.stop:
			fmt.Fprint(w, clearLine)
			return
		}
	}
}

// barLine writes where the bar is in less than so many columns: in the last one some terminals begin a new line. What has no room
// is left out, the bar first. The starts of rotated files are read twice, for their order.
func barLine(read, all int64, columns int) string {
	text := fmt.Sprintf("%d MB", read>>20)
	if all > 0 {
		part := min(float64(read)/float64(all), 1)
		percent := fmt.Sprintf("%3.0f%%", 100*part)
		text = fmt.Sprintf("%s of %d MB", percent, all>>20)
		if width := min(columns-len("[] ")-len(text)-1, barWidth); width >= barNarrowest {
			full := int(part * float64(width))
			return fmt.Sprintf("[%s%s] %s", strings.Repeat("#", full), strings.Repeat(" ", width-full), text)
		}
		if len(text) >= columns {
			text = percent
		}
	}
	if len(text) >= columns {
		return ""
	}
	return text
}

// Close removes the bar.
func (b *bar) Close() {
	if b.stop != nil {
		close(b.stop)
		b.draws.Wait()
		b.stop = nil
	}
}
