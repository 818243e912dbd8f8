package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"eximpolicyd/internal/control"
	"eximpolicyd/internal/mainlog"
	"eximpolicyd/internal/origin"
	"eximpolicyd/internal/trace"
)

// one tells of a message, or of a report about some. A file that is there is a report, whatever it is called.
func (t *tracer) one(out, errs io.Writer, in io.Reader, what string, args []string) error {
	if _, err := os.Lstat(what); err != nil && what != "-" {
		if q, ok := trace.NewQuery(what); ok {
			return t.message(out, errs, what, q, args)
		}
	}
	return t.report(out, errs, in, what, args)
}

// message tells the story of one.
func (t *tracer) message(out, errs io.Writer, what string, q trace.Query, args []string) error {
	logs, err := t.logs(args, time.Time{}, true)
	if err != nil {
		return err
	}
	var found trace.Found
	forbidden, err := t.read(errs, logs, func(ctx context.Context, r *mainlog.Reader) (err error) {
		found.Stories, found.Log, err = trace.Find(ctx, r, q)
		return err
	})
	if err != nil {
		return err
	}
	if len(found.Stories) == 0 {
		return missed(forbidden, lateLog(q, found.Log), fmt.Errorf("the log has no message %s", trace.Printable(what)))
	}
	if m := found.Stories[0].Message; m != nil {
		if found.Others, err = t.others(errs, logs, m); err != nil {
			return err
		}
	}
	if t.json {
		return jsonTo(out).Encode(&found)
	}
	return found.Text(out)
}

// missed is what becomes of a search that found nothing: if a log may not be read, nobody knows.
func missed(forbidden bool, hint string, err error) error {
	if forbidden {
		return fail(exPermission, readers, "%w that may be read", err)
	}
	return fail(exNone, hint, "%w", err)
}

// lateLog says that a log begins after the message that was looked for.
func lateLog(q trace.Query, log *trace.Log) string {
	for _, id := range q.IDs {
		if made := trace.TimeOfID(id); made.Before(log.First) {
			return fmt.Sprintf("the id is of %s, and this log begins at %s: read older ones, too", clock(made), clock(log.First))
		}
	}
	return ""
}

// others finds what else the sender of a message sent, in a second reading: standard input has only one.
func (t *tracer) others(errs io.Writer, logs []string, m *trace.Message) (s *trace.Others, err error) {
	if slices.Contains(logs, "-") {
		return nil, nil
	}
	quiet := io.Writer(io.Discard) // what is wrong with a log was told the first time
	if isTerminal(errs) {
		quiet = errs
	}
	_, err = t.read(quiet, logs, func(ctx context.Context, r *mainlog.Reader) (err error) {
		s, err = trace.FindOthers(ctx, r, m)
		return err
	})
	return s, err
}

// report judges the messages of a report.
func (t *tracer) report(out, errs io.Writer, in io.Reader, name string, args []string) error {
	if name == "-" && slices.Contains(args, "-") {
		return fail(exUsage, "give one of them as a file", "report and log can't both be standard input")
	}
	r, err := readReport(in, name)
	if err != nil {
		return err
	}
	o, err := t.ours(errs)
	if err != nil {
		return err
	}
	logs, err := t.logs(args, time.Time{}, true)
	if err != nil {
		return err
	}
	var stories []*trace.Story
	var log *trace.Log
	forbidden, err := t.read(errs, logs, func(ctx context.Context, in *mainlog.Reader) (err error) {
		stories, log, err = trace.Find(ctx, in, r.Query(o))
		return err
	})
	if err != nil {
		return err
	}
	judged := r.Judge(o, stories, log)
	if f := judged.Confirmed(); f != nil && f.Story != nil {
		if f.Others, err = t.others(errs, logs, f.Story.Message); err != nil {
			return err
		}
	}
	if t.json {
		err = jsonTo(out).Encode(judged)
	} else {
		err = judged.Text(out, shownName(name))
	}
	if err == nil && !judged.Verdict.Confirmed() {
		err = missed(forbidden, "", errors.New("no log confirms that it came from here"))
	}
	return err
}

func shownName(name string) string {
	if name == "-" {
		return "the report"
	}
	return trace.Printable(name)
}

func readReport(in io.Reader, name string) (*trace.Report, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			code := exNoInput
			if errors.Is(err, fs.ErrPermission) {
				code = exPermission
			}
			return nil, fail(code, "give an id of Exim's, a Message-ID with its @, or a file", "%w", err)
		}
		defer f.Close()
		in = f
	}
	r, err := trace.ReadReport(in)
	switch {
	case errors.Is(err, trace.ErrNoHeader):
		return nil, fail(exData, "ask for the spam as it came, with its full header: mail programs call it source or original", "%s: %w", shownName(name), err)
	case errors.Is(err, trace.ErrLongReport):
		return nil, fail(exData, "its header is enough", "%s: %w", shownName(name), err)
	case err != nil:
		return nil, fail(exNoInput, "", "%w", err)
	}
	return r, nil
}

// ours says who this host is: its name, and what the configuration and --name say.
func (t *tracer) ours(errs io.Writer) (*trace.ReportOptions, error) {
	o := &trace.ReportOptions{Names: t.names, Origin: t.signatures(errs)}
	conf, err := load(t.config)
	switch {
	case err == nil:
		for name := range conf.Own.Names {
			o.Names = append(o.Names, name)
		}
	case t.config != "": // who did not name it may be somebody who may not read it
		return nil, err
	}
	if name, err := os.Hostname(); err == nil {
		o.Names = append(o.Names, name)
	}
	if text, err := os.ReadFile("/etc/mailname"); err == nil {
		o.Names = append(o.Names, strings.TrimSpace(string(bytes.ToLower(text))))
	}
	return o, nil
}

// signatures returns what checks the signed field of a message: it asks the daemon, once for each field. That it can't be asked is told
// once; the log then decides alone.
func (t *tracer) signatures(errs io.Writer) func(field, messageID, date, from string) (trace.Origin, bool) {
	type answer struct {
		origin trace.Origin
		ok     bool
	}
	known, told := map[[4]string]answer{}, false
	return func(field, messageID, date, from string) (trace.Origin, bool) {
		key := [4]string{field, messageID, date, from}
		if a, ok := known[key]; ok {
			return a.origin, a.ok
		}
		o, ok, err := t.signature(field, messageID, date, from)
		if err != nil && !told {
			told = true
			fmt.Fprintf(errs, "eximpolicyd: the field %s was not checked: %v\n", origin.FieldName, err)
		}
		known[key] = answer{o, ok}
		return o, ok
	}
}

// signature checks one. A field that binds nothing of its message proves nothing.
func (t *tracer) signature(field, messageID, date, from string) (o trace.Origin, ok bool, err error) {
	stamp, err := origin.ParseStamp(field)
	if err != nil || stamp.Bound == "" || !stamp.Fits(messageID, date, from) {
		return o, false, nil
	}
	var told control.Origin
	if err := t.ask(control.Request{Request: control.Whose, Stamp: field}, &told); err != nil {
		return o, false, err
	}
	return trace.Origin{ID: stamp.Queue, Time: stamp.Time, Account: told.Account, Directory: told.Directory, Program: told.Program}, told.Signed, nil
}
