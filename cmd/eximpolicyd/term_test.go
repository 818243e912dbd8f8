package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestJSONIsPrintableASCIIAndSaysTheSame(t *testing.T) {
	for _, text := range []string{
		hostile, "\u009b31m", "\x7f", "\u202e\u2066", "\u6f22\u5b57", "\U0001f4a9 \U0010ffff", "\uffff", `a "quoted" \ <b> & 'c'`, "",
	} {
		var out strings.Builder
		encode := jsonTo(&out)
		encode.SetIndent("", "\t")
		if err := encode.Encode(map[string]string{text: text}); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(out.String(), func(r rune) bool { return r > '~' || r < ' ' && r != '\n' && r != '\t' }) {
			t.Errorf("%q", out.String())
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(out.String()), &back); err != nil {
			t.Fatalf("%q: %v", out.String(), err)
		}
		want := strings.ToValidUTF8(text, "\ufffd") // as Go has it
		if back[want] != want {
			t.Errorf("%q comes back as %q", want, back)
		}
	}
}
