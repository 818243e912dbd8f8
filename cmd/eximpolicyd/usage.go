package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Mistakes of whoever types a command are told like all others: what is wrong, where, and what to do. cobra's own words name
// counts and functions of Go, and pflag's a type.

// inOurWords has every command say them so. A command whose arguments or flags are wrong does not run.
func inOurWords(root *cobra.Command) {
	root.SetFlagErrorFunc(wrongFlag)
	root.SetHelpCommand(helpCommand())
	for _, sub := range root.Commands() {
		countArgs(sub)
	}
}

// countArgs puts our words around what a command and those below it say of their arguments.
func countArgs(cmd *cobra.Command) {
	if takes := cmd.Args; takes != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if takes(cmd, args) == nil {
				return nil
			}
			return wrongArgs(cmd, args, func(n int) bool { return takes(cmd, args[:n]) == nil })
		}
	}
	for _, sub := range cmd.Commands() {
		countArgs(sub)
	}
}

// wrongArgs says which argument is too many, or none of those there are, or that one is missing. fits says whether the first
// n would do.
func wrongArgs(cmd *cobra.Command, args []string, fits func(n int) bool) error {
	if cmd.HasSubCommands() && len(args) > 0 {
		return noCommand(cmd, args[0])
	}
	form := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	for n := len(args) - 1; n >= 0; n-- {
		if fits(n) {
			return fail(exUsage, "write "+form+"; --help shows the flags", "%s: %.60q is one argument too many", called(cmd), args[n])
		}
	}
	if len(args) > 0 && len(cmd.ValidArgs) > 0 {
		return fail(exUsage, "write "+form, "%s knows no %.60q", called(cmd), args[0])
	}
	_, operand, _ := strings.Cut(cmd.Use, " ")
	if one, more := strings.CutSuffix(operand, "..."); more {
		operand = one + ", one or more"
	}
	return fail(exUsage, "write it like "+firstExample(cmd), "%s needs %s", called(cmd), operand)
}

// called is a command as a message names it, which has the program's name before it already.
func called(cmd *cobra.Command) string {
	_, name, _ := strings.Cut(cmd.CommandPath(), " ")
	return name
}

// firstExample is the first line of a command's examples.
func firstExample(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	if line == "" {
		return strings.TrimSuffix(cmd.UseLine(), " [flags]")
	}
	return line
}

// noCommand says that there is none of this name, and which one may be meant.
func noCommand(parent *cobra.Command, name string) error {
	hint := parent.CommandPath() + " --help lists them"
	parent.SuggestionsMinimumDistance = 2 // letters; cobra's own, which it sets only where it speaks itself
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, ", or ") + "? " + hint
	}
	if !parent.HasParent() {
		return fail(exUsage, hint, "there is no command %.60q", name)
	}
	return fail(exUsage, hint, "%s has no command %.60q", called(parent), name)
}

// wrongFlag says what is wrong with a flag.
func wrongFlag(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		bare    *pflag.ValueRequiredError
		value   *pflag.InvalidValueError
		help    = cmd.CommandPath() + " --help shows the flags"
	)
	switch {
	case errors.As(err, &unknown):
		dashes := "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dashes = "-"
		}
		if !cmd.HasParent() {
			return fail(exUsage, help, "there is no flag %s%.60s before a command", dashes, printable(unknown.GetSpecifiedName()))
		}
		return fail(exUsage, help, "%s has no flag %s%.60s", called(cmd), dashes, printable(unknown.GetSpecifiedName()))
	case errors.As(err, &bare):
		f := bare.GetFlag()
		return fail(exUsage, "write "+sample(f), "%s: --%s needs a value", called(cmd), f.Name)
	case errors.As(err, &value):
		f := value.GetFlag()
		kind, hint := "no value for it", value.Unwrap().Error() // a type of ours says there how it is written
		switch f.Value.Type() {
		case "bool":
			kind, hint = "neither true nor false", "write --"+f.Name+" alone, or --"+f.Name+"=false"
		case "int", "uintSlice":
			kind, hint = "no number that it can take", "write a number like 5"
		case "duration":
			kind, hint = "no time", "write it with its unit, like 500ms, 2s or 5m"
		}
		return fail(exUsage, hint, "%s: --%s: %.60q is %s", called(cmd), f.Name, value.GetValue(), kind)
	}
	return fail(exUsage, help, "%s: %w", called(cmd), err) // three dashes
}

// sample shows how a flag is written.
func sample(f *pflag.Flag) string {
	name, _ := pflag.UnquoteUsage(f)
	if name == "" {
		name = "VALUE"
	}
	return "--" + f.Name + " " + name
}

// printable is a word for a terminal, escaped where it has what is not to be shown.
func printable(word string) string {
	quoted := fmt.Sprintf("%q", word)
	return quoted[1 : len(quoted)-1]
}

// helpCommand is in the place of cobra's own, which ends well where there is no such command.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "show how a command is used",
		Example: "  eximpolicyd help replay",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 && of.HasSubCommands() {
				err = noCommand(of, rest[0])
			}
			if err != nil {
				return misread(cmd.Root(), args, err)
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

// misread puts our words in the place of cobra's where an argument names no command.
func misread(root *cobra.Command, args []string, err error) error {
	of, _, unknown := root.Find(args)
	var f *failure
	if unknown == nil || errors.As(err, &f) {
		return err
	}
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			return noCommand(of, arg)
		}
	}
	return err
}
