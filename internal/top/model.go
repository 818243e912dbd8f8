package top

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// model is the view with what the administrator has chosen. It is a value, and Update and View are pure.
type model struct {
	options       Options
	seen          seen
	width, height int // 0: not known yet
	focus         int // of panels
	scroll        [len(panels)]int
	paused, help  bool
	away          error     // the last question was not answered
	since         time.Time // then: of the first of those
}

// answered is a snapshot, or that there is none.
type answered struct {
	snapshot Snapshot
	err      error
	at       time.Time // of the error
}

// due says that it is time to ask.
type due struct{}

// Init waits for the time to ask again: there is a snapshot already.
func (m model) Init() tea.Cmd { return m.wait() }

func (m model) wait() tea.Cmd {
	return tea.Tick(m.options.Interval, func(time.Time) tea.Msg { return due{} })
}

// ask asks the daemon. The next question waits for the answer.
func (m model) ask() tea.Msg {
	s, err := m.options.Poll()
	return answered{s, err, time.Now()}
}

// Update takes in a key, a size or an answer.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m.key(msg.String())
	case due:
		if m.paused {
			return m, m.wait()
		}
		return m, m.ask
	case answered:
		return m.hear(msg), m.wait()
	}
	return m, nil
}

// hear takes in an answer; what was on the screen stays there while none comes.
func (m model) hear(a answered) model {
	switch {
	case a.err == nil:
		m.away, m.seen = nil, m.seen.add(a.snapshot)
	case m.away == nil:
		m.away, m.since = a.err, a.at
	default:
		m.away = a.err
	}
	return m
}

// key does what a key is for.
func (m model) key(key string) (tea.Model, tea.Cmd) {
	page := max(m.height/2, 1)
	switch key {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "ctrl+z":
		return m, tea.Suspend
	case "p", "space":
		m.paused = !m.paused
	case "?", "h":
		m.help = !m.help
	case "esc":
		m.help = false
	case "tab", "right":
		m.focus = (m.focus + 1) % len(panels)
	case "shift+tab", "left":
		m.focus = (m.focus + len(panels) - 1) % len(panels)
	case "1", "2", "3", "4":
		m.focus = int(key[0] - '1')
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-page)
	case "pgdown":
		m.move(page)
	case "home", "g":
		m.scroll[m.focus] = 0
	case "end", "G":
		m.move(mostDecisions)
	}
	return m, nil
}

// move scrolls the panel in focus, no further than its last line.
func (m *model) move(by int) {
	p := m.page()
	_, body := p.panel(m.focus, m.height)
	m.scroll[m.focus] = max(0, min(m.scroll[m.focus]+by, len(body)-1))
}

// page is what the view is written on.
func (m *model) page() page {
	return page{
		seen: m.seen, width: m.width, height: m.height, colour: m.options.Colour, focus: m.focus, scroll: m.scroll,
		paused: m.paused, help: m.help, away: m.away, since: m.since, interval: m.options.Interval,
	}
}

// View writes the whole screen.
func (m model) View() tea.View {
	p := m.page()
	v := tea.NewView(p.screen())
	v.AltScreen = true
	return v
}
