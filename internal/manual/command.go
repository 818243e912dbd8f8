package manual

import (
	"go/doc/comment"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commands returns the subcommands that have a page: all but help, which eximpolicyd(8) tells of.
func commands(parent *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, c := range parent.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" {
			list = append(list, c)
		}
	}
	return list
}

// pageOf returns the name of the page of a command of root.
func pageOf(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// command writes the page of a command with its own subcommands.
func (w *writer) command(cmd *cobra.Command) {
	w.add(pageOf(cmd), 8, cmd.Short, func(m *mdoc) {
		subs := commands(cmd)
		m.section("SYNOPSIS")
		if len(subs) == 0 || cmd.Long != "" { // what has both a text and subcommands does something without them
			synopsis(m, cmd)
		}
		for _, s := range subs {
			synopsis(m, s)
		}
		m.section("DESCRIPTION")
		body, codes := split(parse(about(cmd)))
		m.blocks(body, m.sub)
		if len(subs) == 0 {
			options(m, cmd.NonInheritedFlags())
		} else {
			options(m, cmd.LocalNonPersistentFlags())
			all(m, cmd.PersistentFlags())
		}
		for _, s := range subs {
			m.sub(s.CommandPath())
			m.prose(about(s))
			options(m, s.NonInheritedFlags())
		}
		files(m, cmd)
		m.section("EXIT STATUS")
		if len(codes) == 0 {
			m.text("The exit code is 0 if it is done, and else one of sysexits(3), which eximpolicyd(8) has a list of.")
		} else {
			m.blocks(codes, m.sub)
			m.paragraph()
			m.text("Any other is of sysexits(3), and eximpolicyd(8) has a list of them.")
		}
		examples(m, append([]*cobra.Command{cmd}, subs...))
		seeAlso(m, "eximpolicyd.toml(5)", "eximpolicyd-policies(7)", "eximpolicyd(8)")
	})
}

// about is the text of a command: the long one, or the short one as a sentence.
func about(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return strings.ToUpper(cmd.Short[:1]) + cmd.Short[1:] + "."
}

// split takes out of a command's text what it says about its exit codes, with the lines shown under it.
func split(text []comment.Block) (body, codes []comment.Block) {
	within := false
	for _, b := range text {
		switch b := b.(type) {
		case *comment.Paragraph:
			within = strings.HasPrefix(plain(b.Text), "The exit code is")
		case *comment.Heading:
			within = false
		}
		if within {
			codes = append(codes, b)
		} else {
			body = append(body, b)
		}
	}
	return body, codes
}

// synopsis writes one way to call the program: a flag that must be there stands among the arguments of Use.
func synopsis(m *mdoc, cmd *cobra.Command) {
	_, args, _ := strings.Cut(cmd.Use, " ")
	m.line(".Nm", cmd.Root().Name())
	m.line(".Cm", strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" "))
	flags(cmd.Flags(), func(f *pflag.Flag) {
		if strings.Contains(args, "--"+f.Name+" ") {
			return
		}
		m.line(append([]string{".Op"}, flagMacros(f)...)...)
	})
	for arg := range strings.FieldsSeq(args) {
		switch inner := strings.TrimSuffix(strings.TrimPrefix(arg, "["), "]"); {
		case strings.HasPrefix(arg, "--"):
			m.line(".Fl", `\-`+word(arg[2:]))
		case strings.HasPrefix(arg, "["):
			m.line(".Op Ar", word(inner))
		default:
			m.line(".Ar", word(arg))
		}
	}
}

// flags goes through the flags that a reader may use, but --help.
func flags(set *pflag.FlagSet, do func(*pflag.Flag)) {
	set.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			do(f)
		}
	})
}

// flagMacros writes a flag with its value.
func flagMacros(f *pflag.Flag) []string {
	var words []string
	if f.Shorthand != "" {
		words = append(words, "Fl", word(f.Shorthand)+" ,")
	}
	words = append(words, "Fl", `\-`+escaped.Replace(f.Name))
	if value, _ := pflag.UnquoteUsage(f); value != "" {
		words = append(words, "Ar", word(value))
	}
	return words
}

// options lists flags with what they do and their defaults.
func options(m *mdoc, set *pflag.FlagSet) {
	begun := false
	flags(set, func(f *pflag.Flag) {
		if !begun {
			m.list("Ds")
			begun = true
		}
		m.item(flagMacros(f)...)
		_, usage := pflag.UnquoteUsage(f)
		switch f.DefValue {
		case "", "false", "0", "0s", "[]":
		default:
			if !strings.Contains(usage, "default") {
				usage += " (default " + f.DefValue + ")"
			}
		}
		m.text(usage)
	})
	if begun {
		m.endList()
	}
}

// all lists the flags that every command of a page takes.
func all(m *mdoc, set *pflag.FlagSet) {
	if set.HasFlags() {
		m.paragraph()
		m.text("All of its commands take:")
		options(m, set)
	}
}

// files names what the command's flags stand in for.
func files(m *mdoc, cmd *cobra.Command) {
	var list [][2]string
	if f := cmd.Flag("config"); f != nil && !strings.Contains(f.Usage, "Exim") {
		list = append(list, [2]string{"/etc/eximpolicyd/eximpolicyd.toml", "the configuration, where --config names no other"})
	}
	if f := cmd.Flag("socket"); f != nil {
		socket := "/run/eximpolicyd/policy.sock"
		if strings.Contains(f.Usage, "control.sock") {
			socket = "/run/eximpolicyd/control.sock"
		}
		list = append(list, [2]string{socket, "the socket of the daemon, where --socket names no other"})
	}
	if list == nil {
		return
	}
	m.section("FILES")
	m.list("Ds")
	for _, f := range list {
		m.item("Pa", word(f[0]))
		m.text(f[1])
	}
	m.endList()
}

// examples shows those of all commands of a page.
func examples(m *mdoc, list []*cobra.Command) {
	begun := false
	for _, cmd := range list {
		if cmd.Example == "" {
			continue
		}
		if !begun {
			m.section("EXAMPLES")
			begun = true
		}
		var b strings.Builder
		for line := range strings.Lines(cmd.Example) {
			b.WriteString(strings.TrimPrefix(line, "  "))
		}
		m.literal(b.String())
	}
}
