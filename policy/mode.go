package policy

import "fmt"

// Mode says what an objection is worth. The zero mode observes.
type Mode uint8

// The modes.
const (
	Observe Mode = iota // judge, log what would have happened, refuse nothing
	Off                 // do not judge
	Enforce             // judge and refuse
)

const modeWords = "observe\x00off\x00enforce"

// String returns the mode as the configuration spells it.
func (m Mode) String() string { return word(modeWords, int(m)) }

// MarshalText writes the mode as the configuration spells it.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads off, observe or enforce.
func (m *Mode) UnmarshalText(b []byte) error {
	n, ok := wordIndex(modeWords, string(b))
	if !ok {
		return fmt.Errorf("%q is no mode: off, observe or enforce", b)
	}
	*m = Mode(n)
	return nil
}

// Cap returns the weaker of two modes; off is weaker than observe.
func (m Mode) Cap(most Mode) Mode {
	switch {
	case m == Off || most == Off:
		return Off
	case m == Observe || most == Observe:
		return Observe
	}
	return Enforce
}

// Preset chooses between the answers of a rule. The zero preset is the lenient one.
type Preset uint8

// The presets.
const (
	Lenient Preset = iota // refuse what no honest sender does
	RFC                   // refuse what the RFCs let us refuse
	Strict                // refuse what a careful sender avoids
)

const presetWords = "lenient\x00rfc\x00strict"

// String returns the preset as the configuration spells it.
func (p Preset) String() string { return word(presetWords, int(p)) }

// MarshalText writes the preset as the configuration spells it.
func (p Preset) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads lenient, rfc or strict.
func (p *Preset) UnmarshalText(b []byte) error {
	n, ok := wordIndex(presetWords, string(b))
	if !ok {
		return fmt.Errorf("%q is no preset: lenient, rfc or strict", b)
	}
	*p = Preset(n)
	return nil
}
