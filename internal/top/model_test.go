package top

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the views into testdata")

// watching is a model that has watched a daemon for a minute and a half.
func watching(width, height int) model {
	m := model{options: Options{Interval: time.Second}}
	for at := range 90 {
		m.seen = m.seen.add(world(time.Duration(at+1) * time.Second))
	}
	return told(m, tea.WindowSizeMsg{Width: width, Height: height})
}

// told is a model after some messages.
func told(m model, messages ...tea.Msg) model {
	for _, msg := range messages {
		next, _ := m.Update(msg)
		m = next.(model)
	}
	return m
}

// pressed is a model after some keys.
func pressed(m model, keys ...tea.Key) model {
	for _, k := range keys {
		m = told(m, tea.KeyPressMsg(k))
	}
	return m
}

func letter(r rune) tea.Key { return tea.Key{Code: r, Text: string(r)} }

// view is what is on the screen, which must fit.
func view(t *testing.T, m model) string {
	t.Helper()
	text := m.View().Content
	lines := strings.Split(text, "\n")
	if len(lines) > m.height {
		t.Errorf("%d lines of %d", len(lines), m.height)
	}
	for _, line := range lines {
		if len(line) > m.width {
			t.Errorf("%d columns of %d: %s", len(line), m.width, line)
		}
	}
	return text
}

func TestAViewIsAsItIsWrittenDown(t *testing.T) {
	away := answered{err: errors.New("no daemon at /run/eximpolicyd/control.sock"), at: noon.Add(91 * time.Second)}
	for _, c := range []struct {
		name string
		m    model
	}{
		{"80x24", watching(80, 24)},
		{"120x40", watching(120, 40)},
		{"40x10", watching(40, 10)},
		{"80x24-away", told(watching(80, 24), away)},
		{"80x24-lists", pressed(watching(80, 24), letter('2'))},
		{"80x24-networks", pressed(watching(80, 24), letter('3'))},
		{"80x24-decisions-scrolled", pressed(watching(80, 24), letter('4'), tea.Key{Code: tea.KeyDown}, tea.Key{Code: tea.KeyDown})},
		{"80x24-help", pressed(watching(80, 24), letter('?'))},
		{"80x24-paused", pressed(watching(80, 24), letter('p'))},
		{"80x24-at-first", told(model{seen: seen{}.add(world(90 * time.Second))}, tea.WindowSizeMsg{Width: 80, Height: 24})},
		{"80x24-nothing-yet", told(model{seen: seen{}.add(Snapshot{At: noon})}, tea.WindowSizeMsg{Width: 80, Height: 24})},
	} {
		got := view(t, c.m) + "\n"
		file := filepath.Join("testdata", c.name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func TestAViewFitsEverySizeWhateverIsLookedAt(t *testing.T) {
	m := watching(0, 0)
	if got := m.View().Content; got != "" {
		t.Errorf("on no screen: %q", got)
	}
	n := 0
	for _, width := range []int{1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233} {
		for height := 1; height <= 60; height += 3 {
			m := told(m, tea.WindowSizeMsg{Width: width, Height: height})
			for range panels {
				view(t, m)
				view(t, pressed(m, letter('?')))
				view(t, pressed(m, tea.Key{Code: tea.KeyEnd}))
				m = pressed(m, tea.Key{Code: tea.KeyTab})
				n += 3
			}
		}
	}
	t.Logf("FIGURE %d views fit their screens", n)
}

func TestWhatAClientSendsCannotReachTheTerminal(t *testing.T) {
	const hostile = "\x1b[2J\x1b]0;owned\x07\u202e\u009b31m\r\n\xff\x00\x7fé"
	s := world(time.Minute)
	for i := range s.Decisions {
		d := &s.Decisions[i]
		d.ID += hostile
		d.Stage, d.Action, d.Rule, d.Would, d.Reason, d.Inputs.HELO = hostile, "dunno", hostile, hostile, hostile, hostile
	}
	for i := range s.Bans {
		s.Bans[i].Rule, s.Bans[i].Because = hostile, hostile
	}
	for i := range s.Status.Lists {
		s.Status.Lists[i].Zone, s.Status.Lists[i].Why = hostile, hostile
	}
	s.Status.Version, s.Status.Mode, s.Status.Faults[0].What = hostile, hostile, hostile
	s.Status.Door.Stages[0].Stage, s.Status.Door.Rules[0].Rule = hostile, hostile
	m := told(model{seen: seen{}.add(s)}, tea.WindowSizeMsg{Width: 300, Height: 60})
	views := []string{view(t, m), view(t, told(m, answered{err: errors.New(hostile)}))}
	for range panels {
		m = pressed(m, tea.Key{Code: tea.KeyTab})
		views = append(views, view(t, m))
	}
	var page strings.Builder
	if err := Print(&page, s, 300); err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, v := range append(views, page.String()) {
		shown += strings.Count(v, `\x1b[2J`)
		if strings.ContainsFunc(v, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
			t.Errorf("%q", v)
		}
	}
	if shown < 50 {
		t.Errorf("it is shown escaped %d times", shown)
	}
	t.Logf("FIGURE hostile text shown escaped %d times, raw 0", shown)
}

func TestColoursAreThereOnlyIfTheyAreWanted(t *testing.T) {
	m := watching(80, 24)
	plain := view(t, m)
	if strings.Contains(plain, "\x1b") {
		t.Error("colours that nobody wanted")
	}
	m.options.Colour = true
	coloured := m.View().Content
	if !strings.Contains(coloured, "\x1b[31m") {
		t.Error("no colours")
	}
	for _, l := range []look{bad, good, faint, bold} {
		coloured = strings.ReplaceAll(coloured, "\x1b["+string(l)+"m", "")
	}
	if coloured = strings.ReplaceAll(coloured, "\x1b[0m", ""); coloured != plain {
		t.Error(cmp.Diff(plain, coloured))
	}
}

func TestADaemonThatIsAwayIsAskedAgainAndWhatWasSeenStays(t *testing.T) {
	away := errors.New("no daemon at /run/eximpolicyd/control.sock")
	m := told(watching(80, 24), answered{err: away, at: noon.Add(91 * time.Second)})
	next, again := m.Update(answered{err: away, at: noon.Add(95 * time.Second)})
	if again == nil {
		t.Error("it is not asked again")
	}
	m = next.(model)
	if v := view(t, m); !strings.Contains(v, "away since 12:01:31: no daemon at /run/eximpolicyd/control.sock") || !strings.Contains(v, "1xWDej3639") {
		t.Error(v)
	}
	s := world(5 * time.Second)
	s.Status.Started = noon.Add(100 * time.Second)
	m = told(m, answered{snapshot: s})
	if v := view(t, m); strings.Contains(v, "away") || !strings.Contains(v, "RULE, SO FAR") || !strings.Contains(v, "requests 500") {
		t.Errorf("its counters begin anew:\n%s", v)
	}
}

func TestWhoPausesAsksNothing(t *testing.T) {
	asked := 0
	m := watching(80, 24)
	m.options.Poll = func() (Snapshot, error) { asked++; return world(91 * time.Second), nil }
	m.options.Interval = time.Nanosecond
	for _, want := range []int{1, 1, 2} { // asked, paused, asked again
		_, cmd := m.Update(due{})
		switch msg := cmd().(type) {
		case answered:
			if msg.err != nil || msg.snapshot.Status.Uptime != 91 {
				t.Errorf("%+v", msg.err)
			}
		case due:
		default:
			t.Errorf("%T", msg)
		}
		if asked != want {
			t.Errorf("asked %d times, not %d", asked, want)
		}
		m = pressed(m, letter('p'))
	}
}

func TestKeysChooseWhatIsLookedAt(t *testing.T) {
	m := watching(80, 24)
	for i, c := range []struct {
		key   tea.Key
		focus int
	}{
		{tea.Key{Code: tea.KeyTab}, 1}, {tea.Key{Code: tea.KeyTab, Mod: tea.ModShift}, 0}, {tea.Key{Code: tea.KeyLeft}, 3}, {tea.Key{Code: tea.KeyTab}, 0},
		{letter('3'), 2}, {letter('x'), 2}, {letter('5'), 2}, {letter('1'), 0},
	} {
		if m = pressed(m, c.key); m.focus != c.focus {
			t.Errorf("key %d: %s", i, panels[m.focus])
		}
	}
	m = pressed(m, letter('4'), tea.Key{Code: tea.KeyUp})
	if m.scroll[3] != 0 {
		t.Errorf("above the first line: %d", m.scroll[3])
	}
	m = pressed(m, tea.Key{Code: tea.KeyEnd}, tea.Key{Code: tea.KeyDown})
	if n := len(m.seen.decisions); m.scroll[3] != n-1 || !strings.Contains(view(t, m), m.seen.decisions[n-1].ID) {
		t.Errorf("the last of %d: %d", n, m.scroll[3])
	}
	m = pressed(m, tea.Key{Code: tea.KeyPgUp}, tea.Key{Code: tea.KeyUp})
	if n := len(m.seen.decisions); m.scroll[3] != n-1-13 {
		t.Errorf("a page up: %d of %d", m.scroll[3], n)
	}
	for _, k := range []tea.Key{letter('q'), {Code: 'c', Mod: tea.ModCtrl}} {
		_, cmd := m.Update(tea.KeyPressMsg(k))
		if cmd == nil {
			t.Fatal("it does not quit")
		}
		if msg := fmt.Sprintf("%T", cmd()); msg != "tea.QuitMsg" {
			t.Error(msg)
		}
	}
}
