package scenario

import (
	"embed"
	"strings"
)

//go:embed examples/*.scenario
var files embed.FS

// Examples returns the names of the examples, one for each policy.
func Examples() (names []string) {
	list, _ := files.ReadDir("examples") // which is there
	for _, f := range list {
		names = append(names, strings.TrimSuffix(f.Name(), ".scenario"))
	}
	return names
}

// Example returns the text of an example, or nothing if there is none of that name.
func Example(name string) string {
	text, _ := files.ReadFile("examples/" + name + ".scenario") // of none nothing is read
	return string(text)
}
