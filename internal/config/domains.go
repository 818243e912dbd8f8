package config

import (
	"bytes"
	"strings"
)

// Bounds of the file of own.domains: a machine with a million domains is not known to us.
const (
	maxDomainsFile = 16 << 20
	maxDomains     = 1_000_000 // about 80 MB as a set
)

// domainsFile reads one domain a line, as cPanel writes /etc/localdomains; a # begins a comment. A program writes that
// file, so a domain may be in it twice. ok is false if nothing in it can be used.
func (a *arg) domainsFile(file string) (set map[string]bool, ok bool) {
	data, fault := readFile(file, maxDomainsFile)
	if fault != "" {
		a.fail("%s %s", quoted(file), fault)
		return nil, false
	}
	text := string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if strings.IndexByte(text, 0) >= 0 {
		a.fail("%s is no text file: write one domain a line", quoted(file))
		return nil, false
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(strings.TrimRight(line, "\r\n"), "#")
		domain := strings.TrimSpace(line)
		if domain == "" {
			continue
		}
		name, fault := hostname(domain)
		if fault != "" && strings.ContainsAny(domain, " \t,;") {
			fault = quoted(domain) + " is more than one name: write one domain a line"
		}
		if fault != "" {
			a.note(Mistake{File: file, Line: number, Column: strings.Index(line, domain) + 1, Key: a.key, Text: fault})
			continue
		}
		if set == nil {
			set = map[string]bool{}
		}
		if set[name] = true; len(set) > maxDomains {
			a.fail("%s has more than %d domains", quoted(file), maxDomains)
			return nil, false
		}
	}
	return set, true
}
