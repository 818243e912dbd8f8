package scenario

import (
	"path/filepath"
	"strings"
	"testing"

	"eximpolicyd/policy"
)

func examples(testing.TB) map[string]string {
	texts := map[string]string{}
	for _, name := range Examples() {
		texts["examples/"+name+".scenario"] = Example(name)
	}
	return texts
}

func TestThereIsAnExampleOfEachPolicyAndItComesOutAsWritten(t *testing.T) {
	texts := examples(t)
	for _, p := range policy.Table() {
		if texts["examples/"+p.Name+".scenario"] == "" {
			t.Errorf("there is no example of %s", p.Name)
		}
	}
	for path, text := range texts {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			r := played(t, path, text)
			asked := 0
			for _, c := range r.Cases {
				asked += c.Asked
				for _, f := range c.Failures {
					t.Errorf("%s:%d: %s: %+v", path, f.Line, c.Name, f.Diff)
				}
			}
			t.Logf("FIGURE scenario %s: %d cases, %d requests", path, len(r.Cases), asked)
		})
	}
}

// An example that came out the same without its policy would say nothing of it.
func TestAnExampleFailsWithoutItsPolicy(t *testing.T) {
	for path, text := range examples(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			name := strings.TrimSuffix(filepath.Base(path), ".scenario")
			off := strings.NewReplacer("policy."+name+`.mode = "enforce"`, "policy."+name+`.mode = "off"`,
				"[policy."+name+"]\nmode = \"enforce\"", "[policy."+name+"]\nmode = \"off\"").Replace(text)
			if off == text {
				t.Fatal("it enforces nothing")
			}
			if r := played(t, path, off); r.OK {
				t.Error("it came out as written")
			}
		})
	}
}

func parsed(t testing.TB, name, text string) *File {
	t.Helper()
	f, err := Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func played(t testing.TB, name, text string) Result {
	t.Helper()
	r, err := parsed(t, name, text).Play(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
