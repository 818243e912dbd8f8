// Package house holds the rules of the house by tests: who may import whom, and what no file may do.
package house

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the path of every package of ours.
const module = "eximpolicyd"

// mayImport says which packages of ours each package may import. Only cmd and the tests may import all.
var mayImport = map[string][]string{
	"policy":           {"rbl"},
	"rbl":              {},
	"exim-snippets":    {},
	"acl":              {"policy", "rbl", "internal/ledger", "internal/origin"},
	"internal/config":  {"policy", "rbl"},
	"internal/dnstest": {},
	"internal/front":   {"acl", "policy", "internal/prose"},
	"internal/origin":  {},
	"internal/control": {"acl", "internal/ledger", "rbl"},
	"internal/ledger":  {},
	"internal/mainlog": {},
	"internal/prose":   {},
	"internal/top":     {"internal/control"},
	// scenario plays a whole daemon: the table of policies to read a configuration by, and a memory of its own
	"internal/scenario": {"acl", "internal/config", "internal/dnstest", "internal/ledger", "policy", "rbl"},
	"internal/report":   {"acl", "policy", "internal/ledger", "internal/mainlog", "internal/prose"}, // policy: it makes requests, as acl does from the wire
	// manual makes pages of the tables that the program works by, and of the two descriptions that packages have
	"internal/manual":    {"acl", "internal/config", "internal/scenario", "policy"},
	"internal/metrics":   {"acl", "internal/ledger", "rbl"},
	"internal/relaytest": {"internal/prose"},
	"internal/setup":     {"exim-snippets", "internal/prose"},
	"internal/trace":     {"internal/mainlog", "internal/origin", "internal/prose"},
}

// goStatements are the places that start a goroutine, each with who waits for it and what ends it.
var goStatements = map[string]string{
	"acl/dns.go":                 "Close waits; each ends with the lookup it waits for, after followFor at the latest",
	"acl/server.go":              "Serve waits; each ends by the read deadline, its budget and the write deadline",
	"cmd/eximpolicyd/dns.go":     "Close waits; each ends with its context, which Close ends",
	"cmd/eximpolicyd/outlet.go":  "Close waits for the writer, but no longer than outletEnd",
	"rbl/resolver.go":            "Close waits; each ends when its connection is closed, or with the questions it asks",
	"cmd/eximpolicyd/senders.go": "Program waits, no longer than its context; each ends when the kernel has answered, and they are 16 at most",
	"cmd/eximpolicyd/serve.go":   "run waits for the reload loop, which ends with the context",
	"internal/ledger/load.go":    "Close waits, no longer than closeTime; it ends when Close says so",
	"internal/control/server.go": "Serve waits; each ends by the deadline of its connection, which its end cuts short",
	"internal/mainlog/stream.go": "Close and the end of the log wait; it ends with its inputs or when Close says so, what parses ends with it",
	"internal/front/front.go":    "Serve waits; each ends by sessionTime, or when Serve's end closes its connection",
	"internal/report/feed.go":    "Replay waits; it ends with the log, with its context or when Replay has enough",
	"cmd/eximpolicyd/bar.go":     "Close waits for it and ends it",
	"internal/setup/witness.go":  "Close waits; it ends with its listener, each conversation by witnessTime",
	"internal/metrics/server.go": "close waits, and ends it by closing its listener",
	"internal/dnstest/server.go": "Close waits; its sockets end the readers, and what is late is stopped",
}

// longPlaces are functions over 60 lines and files over 400, each with its reason. Tables need none.
var longPlaces = map[string]string{}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestAPackageImportsOnlyWhatItsLineOfTheHouseAllows(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for decode := json.NewDecoder(strings.NewReader(string(out))); decode.More(); {
		var p listed
		if err := decode.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "test") {
			continue
		}
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("%s has no room in the house", name)
			continue
		}
		seen++
		for _, i := range p.Imports {
			if ours, is := strings.CutPrefix(i, module+"/"); is && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s", name, ours)
			}
		}
		if name == "policy" {
			pure(t, p.Imports)
		}
	}
	if seen < 4 {
		t.Fatalf("only %d packages were seen", seen)
	}
}

// pure refuses what a judge could wait for, or change.
func pure(t *testing.T, imports []string) {
	for _, i := range imports {
		if slices.Contains([]string{"net", "os", "sync", "context", "log", "log/slog", "io", "net/http", "os/exec"}, i) {
			t.Errorf("policy imports %s: a judge can neither wait nor change anything", i)
		}
	}
}

// sources parses every Go file of the project that is not a test, by its path.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git" || d.Name() == "run" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fileSet, path, nil, parser.ParseComments)
		files[strings.TrimPrefix(filepath.ToSlash(path), "../../")] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 30 {
		t.Fatalf("only %d files were found", len(files))
	}
	return files
}

var fileSet = token.NewFileSet()

// product reports whether a file is part of the daemon, not of its tests and figures.
func product(path string) bool { return !strings.HasPrefix(path, "test/") }

func TestNobodyInitialisesPanicsOrChangesAPackageVariable(t *testing.T) {
	all := sources(t)
	variables := packageVariables(all)
	for path, f := range all {
		if !product(path) {
			continue
		}
		changed := func(left ast.Expr) {
			id := base(left)
			if id != nil && id.Name != "_" && variables[filepath.Dir(path)+" "+id.Name] && (id.Obj == nil || id.Obj == f.Scope.Lookup(id.Name)) {
				t.Errorf("%s: the package variable %s is changed", place(id), id.Name)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: an init function", place(n))
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" {
					t.Errorf("%s: a panic", place(n))
				}
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					changed(left)
				}
			case *ast.IncDecStmt:
				changed(n.X)
			}
			return true
		})
	}
}

// packageVariables returns "folder name" of every variable declared at the top of a file.
func packageVariables(files map[string]*ast.File) map[string]bool {
	found := map[string]bool{}
	for path, f := range files {
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				for _, name := range s.(*ast.ValueSpec).Names {
					found[filepath.Dir(path)+" "+name.Name] = true
				}
			}
		}
	}
	return found
}

// base returns the name at the root of what is assigned to: t in t.field[3].
func base(left ast.Expr) *ast.Ident {
	switch e := left.(type) {
	case *ast.IndexExpr:
		return base(e.X)
	case *ast.SelectorExpr:
		return base(e.X)
	case *ast.StarExpr:
		return base(e.X)
	case *ast.ParenExpr:
		return base(e.X)
	case *ast.Ident:
		return e
	}
	return nil
}

func TestEveryGoroutineHasAPlaceThatSaysWhoWaitsForIt(t *testing.T) {
	found := map[string]bool{}
	for path, f := range sources(t) {
		if !product(path) {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			starts := false
			switch n := n.(type) {
			case *ast.GoStmt:
				starts = true
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				starts = ok && sel.Sel.Name == "Go"
			}
			if starts {
				found[path] = true
				if goStatements[path] == "" {
					t.Errorf("%s: a goroutine in a place that is not listed", place(n))
				}
			}
			return true
		})
	}
	for path := range goStatements {
		if !found[path] {
			t.Errorf("%s is listed and starts no goroutine", path)
		}
	}
}

func TestNoFunctionAndNoFileIsLong(t *testing.T) {
	for path, f := range sources(t) {
		if lines := fileSet.Position(f.End()).Line; lines > 400 && longPlaces[path] == "" {
			t.Errorf("%s has %d lines", path, lines)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := fileSet.Position(fn.End()).Line - fileSet.Position(fn.Pos()).Line + 1
			if lines > 60 && longPlaces[path+" "+fn.Name.Name] == "" {
				t.Errorf("%s: %s has %d lines", place(fn), fn.Name.Name, lines)
			}
		}
	}
}

func TestEverythingExportedIsDocumented(t *testing.T) {
	for path, f := range sources(t) {
		if !product(path) {
			continue
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					t.Errorf("%s: %s has no comment", place(d), d.Name.Name)
				}
			case *ast.GenDecl:
				undocumented(t, d)
			}
		}
	}
}

func undocumented(t *testing.T, d *ast.GenDecl) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
				t.Errorf("%s: %s has no comment", place(s), s.Name.Name)
			}
		case *ast.ValueSpec:
			if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				t.Errorf("%s: %s has no comment", place(s), s.Names[0].Name)
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

func TestTheWireProtocolIsDescribedInOnePlace(t *testing.T) {
	doc, err := os.ReadFile("../../acl/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"protocol_state", "rcpt_verify_failure", "smtp_count", "synthetic"} {
		if !strings.Contains(string(doc), word) {
			t.Errorf("acl/doc.go does not describe %s", word)
		}
	}
	for _, page := range []string{"../../README.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"rcpt_verify_failure", "msgid_size", "smtp_count"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s describes %s: point to go doc ./acl", page, word)
			}
		}
	}
}

func place(n ast.Node) token.Position { return fileSet.Position(n.Pos()) }
