package policy

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Postfix refuses and takes these otherwise than we do.
var unlikePostfix = map[string]string{
	"*.foo.bar":         "Postfix takes a wildcard, which stands in access tables; nobody greets with one",
	"0.255.255.255":     "Postfix refuses addresses of 0/8; for us it is an address all the same, without brackets (H5), never a name",
	"a:a:a:a:a:1.2.3.4": "Postfix does not count the groups before an IPv4 part; RFC 4291 2.2 wants six",
}

// Postfix's own test of host name syntax, read where it lies; it is not part of this project.
func TestAgreesWithPostfixOnHostNames(t *testing.T) {
	shared := os.Getenv("EXIMPOLICYD_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	dir := filepath.Join(shared, "data", "hostnames")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("Postfix's host names are not here: set EXIMPOLICYD_SHARED to the folder that holds data/hostnames")
	}
	input, err := os.ReadFile(filepath.Join(dir, "valid_hostname.in"))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := os.ReadFile(filepath.Join(dir, "valid_hostname.ref"))
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSuffix(string(input), "\n"), "\n")
	verdicts := postfixVerdicts(t, string(ref))
	if len(rows) != len(verdicts) {
		t.Fatalf("%d names and %d verdicts", len(rows), len(verdicts))
	}
	used := map[string]bool{}
	for i, name := range rows {
		v := verdicts[i]
		if v.name != name {
			t.Fatalf("row %d is %q, its verdict is of %q", i+1, name, v.name)
		}
		isName, isAddress := IsHostname(name), ParseHELO(name).Kind == HELOAddress
		if strings.Contains(name, "*") {
			v.isAddress = false // Postfix does not ask whether a wildcard is an address
		}
		if isName == v.isName && isAddress == v.isAddress {
			continue
		}
		if unlikePostfix[name] == "" {
			t.Errorf("%q: name %v, address %v; Postfix says name %v, address %v", name, isName, isAddress, v.isName, v.isAddress)
		}
		used[name] = true
	}
	for name, reason := range unlikePostfix {
		if !used[name] {
			t.Errorf("%q is listed without need: %s", name, reason)
		}
	}
	t.Logf("%d rows, %d of them otherwise for a reason", len(rows), len(used))
}

type postfixVerdict struct {
	name              string
	isName, isAddress bool
}

// postfixVerdicts reads "testing:" lines, each followed by a warning for every check that failed.
func postfixVerdicts(t *testing.T, ref string) (list []postfixVerdict) {
	for line := range strings.Lines(ref) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "./valid_hostname: "))
		if quoted, ok := strings.CutPrefix(line, "testing: "); ok {
			name, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, postfixVerdict{name, true, true})
			continue
		}
		switch v := &list[len(list)-1]; {
		case strings.HasPrefix(line, "warning: valid_hostname: "):
			v.isName = false
		case strings.HasPrefix(line, "warning: valid_") && strings.Contains(line, "hostaddr: "):
			v.isAddress = false
		default:
			t.Fatalf("line %q", line)
		}
	}
	return list
}
