package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/internal/prose"
)

func stateCommand() *cobra.Command {
	a := &admin{}
	cmd := &cobra.Command{
		Use: "state", Short: "take what the daemon remembers to another machine, or put it back", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fail(exUsage, "eximpolicyd state export [FILE], or eximpolicyd state import FILE", "state needs export or import")
		},
	}
	a.flags(cmd)
	cmd.AddCommand(&cobra.Command{
		Use:   "export [FILE]",
		Short: "write everything that is remembered, as lines of JSON",
		Long: `Write the bans, the allowed networks and the counters of the running daemon as lines of JSON, to a file that replaces an
older one when it is whole, or to standard output. It has addresses of clients: the file is for its owner only.`,
		Example: "  eximpolicyd state export old-host.jsonl",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "-" {
				_, err := a.save(cmd.OutOrStdout(), cmd.ErrOrStderr())
				return err
			}
			return a.saveFile(args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}, &cobra.Command{
		Use:   "import FILE|-",
		Short: "take in what state export has written",
		Long: `Have the running daemon take in what state export has written, in place of what it knows of the same networks. All of it is
taken in, or nothing: a mistake is told with its line. What is long over is left out.

The exit code is 0 if it is on the disk, and 75 if it is only in memory yet.`,
		Example: "  eximpolicyd state import old-host.jsonl",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readImport(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			return a.send(text, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	})
	return cmd
}

// save writes an export and returns how many lines it has.
func (a *admin) save(out, errs io.Writer) (lines int, err error) {
	p := newProgress(errs, 0)
	defer p.end()
	broken := &writer{w: io.MultiWriter(out, p)}
	err = a.at(func(socket string) error {
		var err error
		lines, err = control.Save(socket, broken)
		if broken.err != nil {
			return fail(exIO, "", "the export is cut: %w", broken.err)
		}
		return err
	})
	return lines, err
}

// saveFile writes an export to a file, which is the old one until the new one is whole.
func (a *admin) saveFile(path string, out, errs io.Writer) error {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600))
	if err != nil {
		return fail(exIO, "", "cannot write %s: %w", path, err)
	}
	defer f.Cleanup()
	lines, err := a.save(f, errs)
	if err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fail(exIO, "", "cannot write %s: %w", path, err)
	}
	_, err = fmt.Fprintf(out, "%s: %s\n", path, prose.Many(lines, "line"))
	return err
}

// readImport reads what is to be imported, whole: a daemon does not wait for a slow pipe.
func readImport(path string, in io.Reader) ([]byte, error) {
	name := "standard input"
	if path != "-" {
		name = path
		f, err := os.Open(path)
		if err != nil {
			return nil, fail(exNoInput, "", "%w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, ledger.MaxImport+1))
	switch path := new(fs.PathError); {
	case errors.As(err, &path):
		return nil, fail(exNoInput, "", "%w", err)
	case err != nil:
		return nil, fail(exIO, "", "%s: %w", name, err)
	case len(text) > ledger.MaxImport:
		return nil, fail(exData, "split it by lines; each part begins with the first line", "%s has over %d MB", name, ledger.MaxImport>>20)
	}
	return text, nil
}

// send imports a text.
func (a *admin) send(text []byte, out, errs io.Writer) error {
	p := newProgress(errs, len(text))
	defer p.end()
	var taken control.Taken
	err := a.at(func(socket string) (err error) {
		taken, err = control.Send(socket, io.TeeReader(bytes.NewReader(text), p), int64(len(text)))
		return err
	})
	if err != nil {
		return err
	}
	p.end()
	if _, err := fmt.Fprintf(out, "taken in: %s, %s, %s\n", prose.Many(taken.Bans, "ban"), prose.Many(taken.Allowed, "allowed network"),
		prose.Many(taken.Counters, "counter")); err != nil {
		return err
	}
	if taken.Unsaved.Unsaved {
		return notSaved(1, "is taken in, but not saved yet: a restart would forget it")
	}
	return nil
}

// writer remembers that writing has failed: what is told of it must not be taken for a fault of the daemon.
type writer struct {
	w   io.Writer
	err error
}

// Write writes.
func (w *writer) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

// progress counts octets, and tells of them on a terminal if it takes long.
type progress struct {
	out         io.Writer // nil: there is no terminal
	done, total int
	told        time.Time
	shown       bool
}

// progressRest is before the first word, and between two.
const progressRest = time.Second

func newProgress(errs io.Writer, total int) *progress {
	p := &progress{total: total, told: time.Now()}
	if isTerminal(errs) {
		p.out = errs
	}
	return p
}

// Write counts.
func (p *progress) Write(b []byte) (int, error) {
	p.done += len(b)
	if now := time.Now(); p.out != nil && now.Sub(p.told) >= progressRest {
		p.told, p.shown = now, true
		of := ""
		if p.total > 0 {
			of = fmt.Sprintf(" of %.1f", float64(p.total)/(1<<20))
		}
		fmt.Fprintf(p.out, "\reximpolicyd: %.1f%s MB", float64(p.done)/(1<<20), of)
	}
	return len(b), nil
}

// end leaves the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprintln(p.out)
		p.shown = false
	}
}
