package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func domainsIn(t *testing.T, data string) (file, text string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "localdomains")
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, "[own]\ndomains = '" + file + "'\n"
}

func TestDomainsComeFromAFile(t *testing.T) {
	_, text := domainsIn(t, "\xef\xbb\xbfExample.com\r\n\r\n# a comment\n  example.org. # ours\nexample.com\nhost")
	want := map[string]bool{"example.com": true, "example.org": true, "host": true}
	if d := cmp.Diff(want, parsed(t, text).Own.Domains); d != "" {
		t.Error(d)
	}
	if _, text = domainsIn(t, "\n# none\n"); parsed(t, text).Own.Domains != nil {
		t.Error("no domains are not the same as an empty list")
	}
}

func TestMistakesInAFileOfDomainsHaveItsName(t *testing.T) {
	file, text := domainsIn(t, "example.com\n\t*.example.org\n192.0.2.1\nexample.net: user\nm\xfcnchen.example\n")
	got := mistakesOf(t, text+"colour = 1\n").Error()
	want := strings.Join([]string{
		`f.toml:3:1: own.colour: unknown key: here are names, addresses, domains`,
		file + `:2:2: own.domains: "*.example.org" has a star: write "example.org"`,
		file + `:3:1: own.domains: "192.0.2.1" is an address: write it into own.addresses`,
		file + `:4:1: own.domains: "example.net: user" is more than one name: write one domain a line`,
		file + `:5:1: own.domains: a byte that is not UTF-8: write the name as DNS has it`,
	}, "\n")
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAFileOfDomainsThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	binary, text := domainsIn(t, "example.com\n\x00")
	if got := mistakesOf(t, text).Error(); got != `f.toml:2:11: own.domains: "`+binary+`" is no text file: write one domain a line` {
		t.Error(got)
	}
	got := mistakesOf(t, "own.domains = '"+dir+"/none'").Error()
	if want := `f.toml:1:15: own.domains: "` + dir + `/none" can't be read: no such file or directory`; got != want {
		t.Error(got)
	}
	got = mistakesOf(t, "own.domains = '"+dir+"'").Error()
	if want := `f.toml:1:15: own.domains: "` + dir + `" is a directory: name the file in it`; got != want {
		t.Error(got)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxDomainsFile+1); err != nil {
		t.Fatal(err)
	}
	got = mistakesOf(t, "own.domains = '"+large+"'").Error()
	if want := `f.toml:1:15: own.domains: "` + large + `" larger than 16 MiB`; got != want {
		t.Error(got)
	}
}
