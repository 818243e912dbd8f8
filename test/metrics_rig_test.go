package test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"eximpolicyd/internal/control"
	"eximpolicyd/test/rig"
)

// scrape reads the metrics at a place as metrics.listen names it, and returns the text.
func scrape(t *testing.T, place string) string {
	t.Helper()
	text, err := tryScrape(place)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func tryScrape(place string) (string, error) {
	network, address := "tcp", place
	if path, is := strings.CutPrefix(place, "unix:"); is {
		network, address = "unix", path
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial(network, address) }}}
	r, err := c.Get("http://eximpolicyd/metrics")
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return string(text), err
}

// sampled are the values of a text, by name and labels as they stand there.
func sampled(t *testing.T, text string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[line[:i]] = value
	}
	return all
}

// samplesOf returns the samples of some metrics that are not 0.
func samplesOf(all map[string]float64, names ...string) map[string]float64 {
	some := maps.Clone(all)
	maps.DeleteFunc(some, func(sample string, value float64) bool {
		name, _, _ := strings.Cut(sample, "{")
		return value == 0 || !slices.Contains(names, name)
	})
	return some
}

// standing asks a daemon for its status, with the exit code.
func standing(t *testing.T, s *rig.Site) (st control.Status, code int) {
	t.Helper()
	cmd := exec.Command(binary(t), "status", "--json", "--socket", filepath.Join(filepath.Dir(s.SocketPath()), "control.sock"))
	out, err := cmd.Output()
	if code = cmd.ProcessState.ExitCode(); code != 0 && code != 69 {
		t.Fatalf("status: %v", err)
	}
	if err := json.Unmarshal(out, &st); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return st, code
}

// stoodFor returns the samples that a status stands for.
func stoodFor(st *control.Status) map[string]float64 {
	all := map[string]float64{}
	add := func(sample string, n uint64) {
		if n > 0 {
			all["eximpolicyd_"+sample] = float64(n)
		}
	}
	for _, g := range st.Door.Stages {
		for action, n := range map[string]uint64{"dunno": g.Dunno, "delay": g.Delay, "defer": g.Defer, "deny": g.Deny, "drop": g.Drop, "freeze": g.Freeze} {
			add(`callouts_total{action="`+action+`",stage="`+g.Stage+`"}`, n)
		}
		of := `{stage="` + g.Stage + `"}`
		add("callouts_would_refuse_total"+of, g.Would)
		add("callouts_degraded_total"+of, g.Degraded)
		add("callouts_synthetic_total"+of, g.Synthetic)
		add("callouts_overrun_total"+of, g.Overrun)
		add("callout_duration_seconds_count"+of, g.Decisions())
	}
	for _, r := range st.Door.Rules {
		of := `{rule="` + r.Rule + `"}`
		add("rule_hits_total"+of, r.Hits)
		add("rule_refusals_total"+of, r.Refused)
		add("rule_would_refuse_total"+of, r.Would)
	}
	for reason, n := range map[string]uint64{"malformed": st.Door.Malformed, "busy": st.Door.Busy, "not_allowed": st.Door.Refused,
		"failed": st.Door.Failed, "bypass": st.Door.Bypassed} {
		add(`unjudged_requests_total{reason="`+reason+`"}`, n)
	}
	for level, n := range st.Memory.EnforcedAt {
		word := strconv.Itoa(level)
		if level == 0 {
			word = "admin"
		}
		add(`bans{level="`+word+`",mode="enforce"}`, uint64(n))
		add(`bans{level="`+word+`",mode="observe"}`, uint64(st.Memory.ObservedAt[level]))
	}
	add("ledger_keys", uint64(st.Memory.Keys))
	add("ledger_keys_limit", uint64(st.Memory.MostKeys))
	add("ledger_bytes", uint64(st.Memory.Bytes))
	add("faults", uint64(len(st.Faults)))
	for mode, list := range map[string][]string{"enforce": st.Rules.Enforced, "observe": st.Rules.Observed, "off": st.Rules.Off} {
		add(`rules{mode="`+mode+`"}`, uint64(len(list)))
	}
	c := &st.Caches
	for cache, of := range map[string]struct {
		used, most   int
		hits, misses uint64
		unit         string
	}{
		"clients":   {c.Clients, c.MostClients, c.ClientHits, c.ClientMisses, "entries"},
		"names":     {c.Names, c.MostNames, c.NameHits, c.NameMisses, "entries"},
		"answers":   {c.AnswerBytes, c.MostAnswerBytes, c.AnswerHits, c.AnswerMisses, "bytes"},
		"decisions": {c.DecisionBytes, c.MostDecisionBytes, 0, 0, "bytes"},
	} {
		add("cache_"+of.unit+`{cache="`+cache+`"}`, uint64(of.used))
		add("cache_"+of.unit+`_limit{cache="`+cache+`"}`, uint64(of.most))
		add(`cache_hits_total{cache="`+cache+`"}`, of.hits)
		add(`cache_misses_total{cache="`+cache+`"}`, of.misses)
	}
	for _, h := range st.Lists {
		add(`list_state{kind="`+h.Kind+`",list="`+h.Zone+`",state="`+h.State.String()+`"}`, 1)
	}
	return all
}

// stoodForNames are the metrics of stoodFor.
func stoodForNames() []string {
	names := strings.Fields("callouts_total callouts_would_refuse_total callouts_degraded_total callouts_synthetic_total callouts_overrun_total " +
		"callout_duration_seconds_count rule_hits_total rule_refusals_total rule_would_refuse_total unjudged_requests_total bans ledger_keys " +
		"ledger_keys_limit ledger_bytes faults rules list_state cache_entries cache_entries_limit cache_bytes cache_bytes_limit cache_hits_total " +
		"cache_misses_total")
	for i := range names {
		names[i] = "eximpolicyd_" + names[i]
	}
	return names
}

// aPort is free at the moment.
func aPort(t *testing.T) (place string, l net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr().String(), l
}

// raw sends octets to a daemon's socket, as Exim would, and returns the answer.
func raw(t *testing.T, s *rig.Site, request string) string {
	t.Helper()
	c, err := net.Dial("unix", s.SocketPath())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
