package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/internal/control"
	"eximpolicyd/internal/origin"
)

// whose is the subcommand origin with its flags.
type whose struct {
	admin
	json, newKey bool
}

func originCommand() *cobra.Command {
	w := &whose{}
	cmd := &cobra.Command{
		Use:   "origin HEADER|FILE|-",
		Short: "say who sent a message of ours, by its header field X-Eximpolicyd-Origin",
		Long: `Open the header field X-Eximpolicyd-Origin of a message: whether this host has signed it, when, of which message, and which
account, directory and program stand behind its hashes. The argument is the field itself, or a file with a whole message, a spam
report with one inside, or a header (- is standard input); of a whole message it is said, too, whether the field belongs to it or
was taken from another.

The running daemon has the keys and the names. It knows the last 8,192 accounts and 16,384 directories and programs, also after
a restart. --new-key signs with another key from now on; what was signed before can still be told.

The exit code is 1 if no field was signed here, or it is another message's, and 65 if there is none.`,
		Example: `  eximpolicyd origin report.eml
  eximpolicyd origin 'v=1 t=1764097951 k=3f9a1c2e h=mx.example.org ...'`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			switch {
			case w.newKey && len(args) > 0:
				return fail(exUsage, "", "--new-key takes no argument")
			case w.newKey:
				return w.rekey(out)
			case len(args) == 0:
				return fail(exUsage, "eximpolicyd origin FILE, with the message in it", "origin needs a header field or a file")
			}
			list, whole, err := carried(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			return w.tell(out, list, whole)
		},
	}
	w.flags(cmd)
	cmd.Flags().BoolVar(&w.json, "json", false, "print an array of objects, one for each field that was found")
	cmd.Flags().BoolVar(&w.newKey, "new-key", false, "have the daemon sign with a new key from now on")
	return cmd
}

// carried finds the fields in what was given; whole says that the message around them is known.
func carried(args []string, stdin io.Reader) (list []origin.Carried, whole bool, err error) {
	text := strings.Join(args, " ") // a field that nobody has put into quotes
	if strings.Contains(text, "v=1 ") {
		return []origin.Carried{{Field: text}}, false, nil
	}
	if len(args) > 1 {
		return nil, false, fail(exUsage, "put the field into quotes, with its v=1", "origin takes one field or one file")
	}
	in, name := stdin, "standard input"
	if args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, false, fail(exNoInput, "name a file with the message in it; a field in its stead begins with v=1", "%w", err)
		}
		defer f.Close()
		in, name = f, args[0]
	}
	list, err = origin.FindStamps(in)
	switch {
	case err != nil:
		return nil, false, fail(exNoInput, "", "%s: %w", name, err)
	case len(list) == 0:
		return nil, false, fail(exData, "it has to be the message as it arrived, with all of its header, and not in base64; "+
			"Exim's log and ours know what was sent without the field, too", "%s has no %s", name, origin.FieldName)
	}
	return list, true, nil
}

// told is what is said of one field, in the words of --json.
type told struct {
	control.Origin
	Made    time.Time `json:"made,omitzero"`
	Host    string    `json:"host,omitempty"`
	Key     string    `json:"key,omitempty"`
	Queue   string    `json:"queue_id,omitempty"`
	Source  string    `json:"source,omitempty"`
	Belongs *bool     `json:"belongs,omitempty"` // to the message it stands in; nothing: that is not known
	Error   string    `json:"error,omitempty"`   // it is none

	hidden [3]bool // there is a token: of account, directory, program
}

// tell asks the daemon about each field.
func (w *whose) tell(out io.Writer, list []origin.Carried, whole bool) error {
	all := []told{}
	good, bad := 0, error(nil)
	for i := range list {
		t := told{}
		stamp, err := origin.ParseStamp(list[i].Field)
		if err != nil {
			t.Error, bad = err.Error(), err
		} else if err := w.one(&t, &stamp); err != nil {
			return err
		}
		if whole && t.Signed && stamp.Bound != "" {
			fits := stamp.Fits(list[i].MessageID, list[i].Date, list[i].From)
			t.Belongs = &fits
		}
		if t.Signed && (t.Belongs == nil || *t.Belongs) {
			good++
		}
		all = append(all, t)
	}
	if err := w.print(out, all); err != nil {
		return err
	}
	switch {
	case good > 0:
		return nil
	case len(all) == 1 && bad != nil:
		return fail(exData, "", "%w", bad)
	}
	return fail(exNone, "", "no field of this host's that belongs to this message")
}

func (w *whose) one(t *told, stamp *origin.Stamp) error {
	if err := w.ask(control.Request{Request: control.Whose, Stamp: strings.TrimPrefix(stamp.Field(), origin.FieldName+":")}, &t.Origin); err != nil {
		return err
	}
	t.Made, t.Host, t.Key, t.Queue, t.Source = stamp.Time, stamp.Host, stamp.Key, stamp.Queue, stamp.Source
	t.hidden = [3]bool{stamp.Account != "", stamp.Dir != "", stamp.Program != ""}
	return nil
}

func (w *whose) print(out io.Writer, all []told) error {
	if w.json {
		return printJSON(out, all)
	}
	for i := range all {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := all[i].print(out); err != nil {
			return err
		}
	}
	return nil
}

// print writes what is known, a line each. Of a field that is not ours nothing is true.
func (t *told) print(out io.Writer) error {
	paint := painter(out)
	line := func(label, text string) { fmt.Fprintf(out, "%-11s%s\n", label+":", text) } // as it is, blanks of a name and all
	switch {
	case t.Error != "":
		line("signed", "no: "+plain(t.Error))
		return nil
	case !t.Known:
		line("signed", "not by this host: key "+t.Key+" is none of its")
		return nil
	case !t.Signed:
		line("signed", "no: forged or changed, for it names a key of this host that has not signed it")
		return nil
	}
	line("signed", paint("applies", "yes")+", by this host, with key "+t.Key)
	line("made", clock(t.Made))
	line("message", orDash(t.Queue)+" on "+orDash(t.Host))
	switch {
	case t.Belongs == nil:
		line("belongs", "not known: give the whole message with its Message-ID, Date or From")
	case *t.Belongs:
		line("belongs", "to this message")
	default:
		line("belongs", "to another message, or its header was changed on the way")
	}
	line("source", orDash(t.Source))
	account := t.Account
	if t.UID != nil && fmt.Sprint(*t.UID) != account {
		account += fmt.Sprintf(", uid %d", *t.UID)
	}
	for i, w := range []struct{ label, text string }{{"account", account}, {"directory", t.Directory}, {"program", t.Program}} {
		switch {
		case w.text != "":
			line(w.label, w.text)
		case t.hidden[i]:
			line(w.label, "forgotten; Exim's log and ours may have it: grep "+t.Queue)
		}
	}
	return nil
}

func (w *whose) rekey(out io.Writer) error {
	var r control.Rekeyed
	if err := w.ask(control.Request{Request: control.Rekey}, &r); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%s is signed with key %s from now on\n", origin.FieldName, r.Key)
	return err
}
