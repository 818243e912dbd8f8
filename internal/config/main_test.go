package config

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eximpolicyd/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// extra is the settings of a policy that package config has never heard of.
type extra struct {
	Word   string        `toml:"word" about:"a word of its own"`
	Flag   bool          `toml:"flag"`
	Count  int           `toml:"count"`
	Small  uint8         `toml:"small"`
	Share  float64       `toml:"share"`
	Mode   policy.Mode   `toml:"worst"`
	Ports  []int         `toml:"ports"`
	Words  []string      `toml:"words"`
	Modes  []policy.Mode `toml:"modes"`
	Wait   time.Duration `toml:"wait"`
	Ages   []policy.Days `toml:"ages"`
	hidden int
	Silent int
}

func (s *extra) Rules() []policy.Rule {
	return []policy.Rule{{ID: "X1", Title: "the first"}, {ID: "X2", Title: "the second"}}
}

func (s *extra) Check() []policy.Mistake {
	var m []policy.Mistake
	if s.Count > 100 {
		m = append(m, policy.Mistake{Key: "count", Text: "must be 0 to 100"})
	}
	if s.Flag && s.Word == "" {
		m = append(m, policy.Mistake{Key: "word", Text: "must not be empty with flag: write one"})
	}
	return m
}

func withExtra() []policy.Policy {
	return append(policy.Table(), policy.Policy{
		Name: "extra", About: "a policy that nobody has heard of",
		New: func() policy.Settings { return &extra{Count: 7, Ports: []int{25}, hidden: 1, Silent: 2} },
	})
}

// mistakesOf parses a text that must be wrong.
func mistakesOf(t *testing.T, text string) Mistakes {
	t.Helper()
	c, err := Parse("f.toml", []byte(text), withExtra())
	var m Mistakes
	if !errors.As(err, &m) {
		t.Fatalf("no mistake found: %v", err)
	}
	if c != nil {
		t.Fatal("a configuration came with the mistakes")
	}
	return m
}
