package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// everyCommand returns all of a tree, root first.
func everyCommand(root *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{root}
	for _, sub := range root.Commands() {
		list = append(list, everyCommand(sub)...)
	}
	return list
}

// mistakes are the wrong ways to call a command that can be told from how it is made, none of which runs it.
func mistakes(cmd *cobra.Command) map[string][]string {
	all := map[string][]string{"a flag that there is not": {"--no-such-flag"}, "a letter that is no flag": {"-\xc3\xa9"}, "a flag of three dashes": {"---config"}}
	if cmd.HasSubCommands() && (cmd.Args == nil || cmd.Args(cmd, []string{"a"}) != nil) {
		all["a command that there is not"] = []string{"no\x1b[31msuch"}
	}
	if cmd.Args != nil && cmd.Args(cmd, nil) != nil {
		all["no argument"] = nil
	}
	if many := []string{"a", "b", "c", "d"}; cmd.Args != nil && cmd.Args(cmd, many) != nil {
		all["too many arguments"] = many
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := "--" + f.Name
		if f.NoOptDefVal == "" {
			all[name+" without a value"] = []string{name}
		}
		if f.Value.Type() != "string" && f.Value.Type() != "stringArray" {
			all[name+" with nonsense"] = []string{name + "=non\x1bsense"}
		}
	})
	return all
}

func TestEveryMistakeOfUsageSaysWhatAndWhereAndWhatToDo(t *testing.T) {
	theirs := regexp.MustCompile(`arg\(s\)|unknown (shorthand )?flag|unknown command|requires at least|flag needs|accepts |strconv|parsing|flag\(s\)|in the group|Usage:|\[flags\]|Did you mean`)
	tried := 0
	for _, cmd := range everyCommand(command()) {
		path := strings.Fields(cmd.CommandPath())[1:]
		for name, args := range mistakes(cmd) {
			tried++
			var said strings.Builder
			code := run(slices.Concat(path, args), &said)
			text := said.String()
			lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			bad := ""
			switch {
			case code != exUsage:
				bad = "the exit code"
			case len(lines) != 2:
				bad = "not a line and a hint"
			case !regexp.MustCompile(`^eximpolicyd: [^A-Z].*[^.]$`).MatchString(lines[0]):
				bad = "the fact"
			case !regexp.MustCompile(`^eximpolicyd: hint: .+[^.]$`).MatchString(lines[1]):
				bad = "the hint"
			case theirs.MatchString(text):
				bad = "cobra's own words"
			case !strings.Contains(text, strings.Join(path, " ")):
				bad = "where"
			case strings.ContainsRune(text, '\x1b'):
				bad = "an escape sequence on the terminal"
			}
			if bad != "" {
				t.Errorf("eximpolicyd %q, %s: %s: exit %d\n%s", append(path, args...), name, bad, code, text)
			}
		}
	}
	if tried < 250 {
		t.Errorf("only %d mistakes", tried)
	}
	t.Logf("FIGURE mistakes of usage, each with what, where and what to do: %d", tried)
}

func TestAMisspeltCommandIsTold(t *testing.T) {
	for args, want := range map[string]string{
		"stat":                    `there is no command "stat"`,
		"help stat":               `there is no command "stat"`,
		"ban ad":                  `ban has no command "ad"`,
		"help ban ad":             `ban has no command "ad"`,
		"setup":                   "setup needs to know what to do",
		"setup --add --remove":    "setup does one thing at a time",
		"setup --check --dry-run": "--dry-run is for --add",
		"setup --add --json":      "--json is for --check",
		"snippets":                "snippets needs to know how Exim is arranged",
		"completion csh":          `completion knows no "csh"`,
		"config check":            "config check needs FILE",
		"explain a b":             `explain: "b" is one argument too many`,
	} {
		var said strings.Builder
		if code := run(strings.Fields(args), &said); code != exUsage || !strings.HasPrefix(said.String(), "eximpolicyd: "+want+"\neximpolicyd: hint: ") {
			t.Errorf("%s: exit %d\n%s", args, code, &said)
		}
	}
}
