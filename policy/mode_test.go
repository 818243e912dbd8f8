package policy

import (
	"encoding"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestTheEffectiveModeOfARule(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup *Setup // of helo
		most  Mode
		want  Mode // of H3
	}{
		{"a rule that is off in an enforced policy", &Setup{Mode: Known(Enforce), Rules: map[string]Mode{"H3": Off}}, Enforce, Off},
		{"a rule that is observed in an enforced policy", &Setup{Mode: Known(Enforce), Rules: map[string]Mode{"H3": Observe}}, Enforce, Observe},
		{"an enforced rule in a policy that is off", &Setup{Mode: Known(Off), Rules: map[string]Mode{"H3": Enforce}}, Enforce, Enforce},
		{"an enforced rule in a dry run", &Setup{Rules: map[string]Mode{"H3": Enforce}}, Observe, Observe},
		{"an enforced rule, all off", &Setup{Rules: map[string]Mode{"H3": Enforce}}, Off, Off},
		{"a rule that is off in a dry run", &Setup{Rules: map[string]Mode{"H3": Off}}, Observe, Off},
		{"an observed policy, all off", &Setup{Mode: Known(Observe)}, Off, Off},
		{"an enforced policy in a dry run", &Setup{Mode: Known(Enforce)}, Observe, Observe},
		{"an enforced policy", &Setup{Mode: Known(Enforce)}, Enforce, Enforce},
		{"a policy that is off", &Setup{Mode: Known(Off)}, Enforce, Off},
		{"another rule's mode", &Setup{Rules: map[string]Mode{"H2": Enforce}}, Enforce, Observe},
		{"nothing said", &Setup{}, Enforce, Observe},
		{"no setup at all", nil, Enforce, Observe},
		{"no setup at all, all off", nil, Off, Off},
	} {
		t.Run(c.name, func(t *testing.T) {
			setups := map[string]Setup{}
			if c.setup != nil {
				setups["helo"] = *c.setup
			}
			for _, b := range Bind(Table(), setups, c.most) {
				switch {
				case b.Name == "helo.H3" && b.Mode != c.want:
					t.Errorf("got %s, want %s", b.Mode, c.want)
				case b.Policy.Name != "helo" && b.Mode != Observe.Cap(c.most):
					t.Errorf("%s is %s", b.Name, b.Mode)
				}
			}
		})
	}
}

func TestTheWeakerOfTwoModes(t *testing.T) {
	for _, c := range []struct{ a, b, want Mode }{
		{Off, Off, Off}, {Off, Observe, Off}, {Off, Enforce, Off},
		{Observe, Off, Off}, {Observe, Observe, Observe}, {Observe, Enforce, Observe},
		{Enforce, Off, Off}, {Enforce, Observe, Observe}, {Enforce, Enforce, Enforce},
	} {
		if got := c.a.Cap(c.b); got != c.want {
			t.Errorf("%s capped by %s is %s, want %s", c.a, c.b, got, c.want)
		}
	}
	var zero Mode
	if zero != Observe {
		t.Error("a forgotten mode does not observe")
	}
}

func TestBindTakesSettingsPresetAndGrace(t *testing.T) {
	until := now.Add(time.Hour)
	bound := Bind(Table(), map[string]Setup{"helo": {Preset: Strict, GraceUntil: until, Settings: &HELO{Robots: []string{"x"}}}}, Enforce)
	s := build(with(helo("x")))
	for _, b := range bound {
		if helo := b.Policy.Name == "helo"; helo != (b.Preset == Strict) || helo != b.GraceUntil.Equal(until) {
			t.Errorf("%s has preset %s and grace %s", b.Name, b.Preset, b.GraceUntil)
		}
		if b.Name == "helo.H17" && !b.Judge(&s.q, &s.f).Hit {
			t.Error("H17 runs without its settings")
		}
	}
}

func TestGraceMakesADenyADeferral(t *testing.T) {
	soft, refuse := points(20), deny()
	deferral := Answer{Action: Defer, Code: "451 4.7.1"}
	drop := Answer{Action: Drop, Code: "554 5.7.1"}
	freeze := Answer{Action: Freeze}
	at := func(a Answer) *Bound { return &Bound{Rule: Rule{Answers: always(a)}, GraceUntil: now.Add(time.Hour)} }
	for _, c := range []struct {
		name  string
		of    *Bound
		v     Verdict
		stage Stage
		now   time.Time
		want  Answer
	}{
		{"a deny a nanosecond before its end", at(refuse), Verdict{}, RCPT, now.Add(time.Hour - 1), deferral},
		{"a deny at its end", at(refuse), Verdict{}, RCPT, now.Add(time.Hour), refuse},
		{"a deny without grace", &Bound{Rule: Rule{Answers: always(refuse)}}, Verdict{}, RCPT, now, refuse},
		{"a deny of a local submission, which has no second try", at(refuse), Verdict{}, NotSMTP, now, refuse},
		{"a deny at DATA", at(refuse), Verdict{}, Data, now, deferral},
		{"a deny of the verdict's own", at(soft), Verdict{Answers: instead(always(refuse))}, RCPT, now, deferral},
		{"a score of the verdict's own", at(refuse), Verdict{Answers: instead(always(soft))}, RCPT, now, soft},
		{"H1's other code", at(Answer{Action: Deny, Code: "503 5.5.1"}), Verdict{}, RCPT, now, Answer{Action: Defer, Code: "451 4.5.1"}},
		{"a bare enhanced class", at(Answer{Action: Deny, Code: "550 5"}), Verdict{}, RCPT, now, Answer{Action: Defer, Code: "451 4"}},
		{"a drop, of which Exim has no temporary one", at(drop), Verdict{}, RCPT, now, drop},
		{"a deferral stays", at(deferral), Verdict{}, RCPT, now, deferral},
		{"a delay stays", at(Answer{Action: Delay}), Verdict{}, RCPT, now, Answer{Action: Delay}},
		{"a deferral of the verdict's own stays", at(drop), Verdict{Answers: instead(always(deferral))}, RCPT, now, deferral},
		{"a frozen message stays", at(freeze), Verdict{}, RCPT, now, freeze},
		{"a score stays", at(soft), Verdict{}, RCPT, now, soft},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.of.Answer(&c.v, c.stage, c.now); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	graces := map[Action]bool{Dunno: false, Delay: false, Defer: false, Deny: true, Drop: false, Freeze: false}
	for action, want := range graces {
		a := Answer{Action: action, Code: "550 5.7.1"}
		if (a.Graced() != a) != want {
			t.Errorf("%s graced is %s", a, a.Graced())
		}
	}
	if a := (Answer{Action: Deny, Code: "550"}); a.Graced() != a {
		t.Errorf("a code without an enhanced one became %s", a.Graced())
	}
}

type spelled interface {
	fmt.Stringer
	encoding.TextMarshaler
}

func TestModesAndPresetsReadWhatTheyWrite(t *testing.T) {
	for word, want := range map[string]spelled{"off": Off, "observe": Observe, "enforce": Enforce, "lenient": Lenient, "rfc": RFC, "strict": Strict} {
		b, err := want.MarshalText()
		if err != nil || string(b) != word || want.String() != word {
			t.Errorf("%d is written %q (%v)", want, b, err)
		}
		switch want := want.(type) {
		case Mode:
			if m := Mode(99); m.UnmarshalText(b) != nil || m != want {
				t.Errorf("%s is read as %s", b, m)
			}
		case Preset:
			if p := Preset(99); p.UnmarshalText(b) != nil || p != want {
				t.Errorf("%s is read as %s", b, p)
			}
		}
	}
	for _, wrong := range []string{"", "Off", "enforce ", "on", "observe\x00off", "?"} {
		m, p := Enforce, Strict
		if err := m.UnmarshalText([]byte(wrong)); err == nil || m != Enforce {
			t.Errorf("mode %q is read as %s", wrong, m)
		}
		if err := p.UnmarshalText([]byte(wrong)); err == nil || p != Strict {
			t.Errorf("preset %q is read as %s", wrong, p)
		}
	}
	if err := new(Mode).UnmarshalText([]byte("on")); err.Error() != `"on" is no mode: off, observe or enforce` {
		t.Error(err)
	}
	if err := new(Preset).UnmarshalText([]byte("on")); err.Error() != `"on" is no preset: lenient, rfc or strict` {
		t.Error(err)
	}
	if Mode(9).String() != "?" || Preset(9).String() != "?" {
		t.Error("what is no mode has a word")
	}
}

func TestScoresHaveOneDecimal(t *testing.T) {
	for s, want := range map[Score]string{0: "0.0", 5: "0.5", 10: "1.0", 25: "2.5", 50: "5.0", 123: "12.3", -1: "-0.1", -5: "-0.5", -10: "-1.0", 1000: "100.0"} {
		b, err := json.Marshal(s)
		if err != nil || string(b) != want || s.String() != want {
			t.Errorf("%d is %s in JSON and %s (%v)", s, b, s, err)
		}
	}
	if RefuseAt.String() != "5.0" || MarkAt.String() != "3.0" {
		t.Errorf("refused at %s, marked at %s", RefuseAt, MarkAt)
	}
}

func TestTheWordsOfActionsAnswersStagesAndVerifications(t *testing.T) {
	for a, want := range map[Action]string{Dunno: "dunno", Delay: "delay", Defer: "defer", Deny: "deny", Drop: "drop", Freeze: "freeze", 9: "?"} {
		if b, err := a.MarshalText(); err != nil || string(b) != want || a.String() != want {
			t.Errorf("action %d is %q, want %q", a, b, want)
		}
	}
	for want, a := range map[string]Answer{
		"deny 550 5.7.1": deny(), "defer 451 4.7.1": deferred(), "score 0.5": points(5), "score -0.5": points(-5),
		"delay": {Action: Delay}, "freeze": {Action: Freeze}, "score 0.0": {},
	} {
		if got := a.String(); got != want {
			t.Errorf("%+v is %q, want %q", a, got, want)
		}
	}
	for s, want := range map[Stage]string{Connect: "CONNECT", Helo: "HELO", Mail: "MAIL", RCPT: "RCPT", Predata: "PREDATA", MIME: "MIME",
		Data: "DATA", Quit: "QUIT", NotQuit: "NOTQUIT", NotSMTPStart: "NOT_SMTP_START", NotSMTP: "NOT_SMTP"} {
		b, err := s.MarshalText()
		got, ok := ParseStage(want)
		if err != nil || string(b) != want || s.String() != want || !ok || got != s {
			t.Errorf("stage %d is %q and %s is read as %d, %v", s, b, want, got, ok)
		}
	}
	for _, wrong := range []string{"", "?", "rcpt", "CONNECT\x00HELO", "DATA "} {
		if s, ok := ParseStage(wrong); ok {
			t.Errorf("%q is read as %s", wrong, s)
		}
	}
	for v, want := range map[Verify]string{VerifyUnasked: "", VerifyNone: "none", VerifyOK: "ok", VerifyUnknown: "unknown"} {
		if got, ok := ParseVerify(want); !ok || got != v || v.String() != want {
			t.Errorf("verify %d is %q, and that is read as %d, %v", v, v, got, ok)
		}
	}
	if _, ok := ParseVerify("OK"); ok {
		t.Error("OK is read")
	}
}
