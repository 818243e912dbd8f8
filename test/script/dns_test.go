package script

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"eximpolicyd/internal/dnstest"
)

// serveDNS starts the scripted DNS server of a dialogue: dns WORLD FILE... reads what it answers from a file, and writes its
// address for $DNS into the others. Without a file it reads the same world again. Each line of a world is
//
//	list ZONE ADDRESS...       a healthy list of addresses; ADDRESS=CODE gives a code
//	names ZONE NAME...         a healthy list of names
//	record NAME 300 IN A ...   a record
//	play SUFFIX inert|silent|servfail|refused|world|error-code|healthy
func serveDNS(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: dns WORLD FILE...")
	}
	srv, ok := ts.Value("dns").(**dnstest.Server)
	if !ok {
		ts.Fatalf("no place for a DNS server")
	}
	if *srv == nil {
		started, err := dnstest.Start()
		ts.Check(err)
		*srv = started
		ts.Defer(func() { ts.Check(started.Close()) })
		ts.Setenv("DNS", started.Addr().String())
	}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			ts.Check(tell(*srv, words))
		}
	}
	for _, name := range args[1:] {
		path := ts.MkAbs(name)
		text := strings.ReplaceAll(ts.ReadFile(name), "$DNS", (*srv).Addr().String())
		ts.Check(os.WriteFile(path, []byte(text), 0o644))
	}
}

// tell puts one line of a world into the server.
func tell(srv *dnstest.Server, words []string) error {
	acts := map[string]dnstest.Act{
		"inert": dnstest.Inert, "silent": dnstest.Silent, "servfail": dnstest.ServFail, "refused": dnstest.Refused,
		"world": dnstest.World, "error-code": dnstest.ErrorCode(254), "healthy": nil,
	}
	switch {
	case words[0] == "list" && len(words) > 1:
		return srv.List(words[1], false, words[2:]...)
	case words[0] == "names" && len(words) > 1:
		return srv.NameList(words[1], words[2:]...)
	case words[0] == "record" && len(words) > 1:
		return srv.Add(strings.Join(words[1:], " "))
	case words[0] == "play" && len(words) == 3:
		act, ok := acts[words[2]]
		if !ok {
			return fmt.Errorf("no act %q", words[2])
		}
		srv.Play(words[1], act)
		return nil
	}
	return fmt.Errorf("a world has no line %q", words)
}

// asked wants so many questions for a name or below it: asked COUNT SUFFIX.
func asked(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: asked COUNT SUFFIX")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	srv := *ts.Value("dns").(**dnstest.Server)
	if got := srv.Count(args[1]); got != want {
		ts.Fatalf("%d questions at or below %s, not %d", got, args[1], want)
	}
}

// awaitAsked waits until there have been so many questions for a name or below it: awaitasked COUNT SUFFIX. More are wrong.
func awaitAsked(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: awaitasked COUNT SUFFIX")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	ts.Check((*ts.Value("dns").(**dnstest.Server)).Wait(ctx, args[1], want))
	asked(ts, neg, args)
}
