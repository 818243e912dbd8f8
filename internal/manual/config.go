package manual

import (
	"strings"

	"eximpolicyd/internal/config"
)

// configuration is the page of eximpolicyd.toml: every table with every key.
func (w *writer) configuration(tables []config.Table) {
	w.add("eximpolicyd.toml", 5, "configuration of the policy daemon for Exim", func(m *mdoc) {
		m.section("DESCRIPTION")
		m.prose(text("toml.txt"))
		for _, t := range tables {
			if len(t.Keys) > 0 {
				writeTable(m, t)
			}
		}
		m.section("FILES")
		m.list("Ds")
		m.item("Pa", "/etc/eximpolicyd/eximpolicyd.toml")
		m.text("read if serve and the other commands are given no --config")
		m.endList()
		m.section("EXAMPLES")
		m.prose("Refuse forged greetings, and Message-IDs against RFC 5322, for now only with 4xx:")
		m.literal("own.domains = \"/etc/localdomains\"\n\n[policy.helo.rules]\nH2 = \"enforce\"\nH3 = \"enforce\"\nH17 = \"enforce\"\n\n" +
			"[policy.messageid]\nmode = \"enforce\"\npreset = \"rfc\"\ngrace_until = 2026-12-24\n")
		seeAlso(m, "eximpolicyd-policies(7)", "eximpolicyd(8)", "eximpolicyd-config(8)", "eximpolicyd-lists(8)")
	})
}

func writeTable(m *mdoc, t config.Table) {
	switch t.Name {
	case "":
		m.section("ABOVE THE FIRST TABLE")
	default:
		m.section("[" + t.Name + "]")
		m.text(sentence(t.About))
	}
	m.list("Ds")
	for _, k := range t.Keys {
		long := strings.Contains(k.Value, "\n")
		switch {
		case long:
			m.item("Ic", word(k.Name))
		case k.Value != "":
			m.item("Ic", word(k.Name+" = "+k.Value))
		default:
			m.item("Ic", word(k.Name+" = "+k.Example))
		}
		m.text(sentence(k.About))
		if k.Value != "" && k.Example != "" {
			m.text("Like " + k.Example)
		}
		if long {
			m.literal(k.Name + " = " + k.Value)
		}
	}
	m.endList()
}

// sentence closes a text that has no full stop.
func sentence(s string) string {
	if strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
