package rbl

import (
	"encoding/json"
	"testing"
)

func TestAScoreIsReadAsItIsWritten(t *testing.T) {
	for s := Score(-999); s <= 999; s++ {
		text, err := json.Marshal(s)
		var again Score
		if err == nil {
			err = json.Unmarshal(text, &again)
		}
		if err != nil || again != s {
			t.Fatalf("%s is read as %s: %v", text, again, err)
		}
	}
	for _, text := range []string{`"5"`, `1e9`, `null`, `{}`} {
		var s Score
		if err := json.Unmarshal([]byte(text), &s); err == nil && text != "null" {
			t.Errorf("%s is read as %s", text, s)
		}
	}
}
