package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each real shell is asked to complete the words of a line; the last one is what stands before the cursor.
func TestEveryShellCompletesCommandsOptionsAndValues(t *testing.T) {
	dir, _, _ := built(t)
	path := dir + "/tree:" + os.Getenv("PATH")
	shells := map[string]func(words string) string{
		"bash": func(words string) string {
			return must(t, "env", "PATH="+path, "bash", "--norc", "-c", `source "$1"; read -ra COMP_WORDS <<<"$2"; [[ $2 != *" " ]] || COMP_WORDS+=("")
				COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9
				_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
				compopt() { :; }; __start_eximpolicyd; printf '%s\n' "${COMPREPLY[@]}"`, "bash", dir+"/tree/completions/bash", words)
		},
		"fish": func(words string) string {
			return must(t, "env", "PATH="+path, "HOME="+t.TempDir(), "fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", dir+"/tree/completions/fish", words)
		},
		"zsh": func(words string) string {
			// Its completions need a line editor; what it would ask is asked here, and the script is read as compinit reads it.
			must(t, "zsh", "-f", "-n", dir+"/tree/completions/zsh")
			fpath := t.TempDir()
			must(t, "cp", dir+"/tree/completions/zsh", filepath.Join(fpath, "_eximpolicyd"))
			must(t, "zsh", "-f", "-c", `fpath=($1 $fpath); autoload -U compinit; compinit -u -D; [[ $_comps[eximpolicyd] == _eximpolicyd ]]`, "zsh", fpath)
			return must(t, "env", append([]string{"PATH=" + path, "eximpolicyd", "__complete"}, strings.Split(words, " ")[1:]...)...)
		},
	}
	for shell, complete := range shells {
		for _, c := range []struct{ words, want, never string }{
			{"eximpolicyd sn", "snippets", "status"},
			{"eximpolicyd snippets --fl", "--flavour", "--json"},
			{"eximpolicyd snippets --flavour debian-", "debian-unsplit", "stock"},
			{"eximpolicyd test --example d", "dictionary", "helo"},
			{"eximpolicyd ban list --format i", "ipset", "table"},
			{"eximpolicyd ask client_addr", "client_address=", "recipient="},
			{"eximpolicyd man proto", "protocol", "replay"},
		} {
			out := complete(c.words)
			if !strings.Contains(out, c.want) || shell != "zsh" && strings.Contains(out, c.never) { // which picks for itself
				t.Errorf("%s: %q offers %s", shell, c.words, out)
			}
		}
	}
}
