package internal_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// place says where a package stands.
type place struct {
	floor int
	// beside is true for a package that stands beside the floors: it imports no
	// package of this module but those in also.
	beside bool
	// helper is true for a package that only tests import. It may import
	// testing.
	helper bool
	// also lists packages that may be imported although they are not lower.
	also []string
	// importers, when not empty, lists the only packages whose program code may
	// import this one.
	importers []string
}

// sourceFile is what the rule needs to know of one Go file. The path is
// relative to the module's root, with slashes; pkg is the name in its package
// clause.
type sourceFile struct {
	path    string
	pkg     string
	imports []string
}

// sourceFiles reads every Go file under internal and cmd, whatever its build
// constraints, so that a file for another system is held to the rule too.
func sourceFiles(root fs.FS) ([]sourceFile, error) {
	var files []sourceFile
	visit := func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		f, err := parse(root, name)
		if err != nil {
			return fmt.Errorf("reading the imports of %s: %w", name, err)
		}
		files = append(files, f)
		return nil
	}
	for _, top := range []string{"cmd", "internal"} {
		if _, err := fs.Stat(root, top); err != nil {
			continue
		}
		if err := fs.WalkDir(root, top, visit); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func parse(root fs.FS, name string) (sourceFile, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return sourceFile{}, err
	}
	tree, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
	if err != nil {
		return sourceFile{}, err
	}
	f := sourceFile{path: name, pkg: tree.Name.Name}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return sourceFile{}, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

// test says whether only `go test` compiles the file.
func (f sourceFile) test() bool { return strings.HasSuffix(f.path, "_test.go") }

// outside says whether the file is a test from outside its package. Such a
// test is no part of the package, and may stack floors to try them together.
func (f sourceFile) outside() bool { return f.test() && strings.HasSuffix(f.pkg, "_test") }

// complaints returns one sentence for each import that breaks the rule, in the
// order of the imports.
func (f sourceFile) complaints(table map[string]place) []string {
	dir := path.Dir(f.path)
	if dir == "internal" && f.outside() {
		return nil // this test itself belongs to no package
	}
	own, known := table[dir]
	if !known {
		return []string{f.path + ": " + dir + " is not in the table of floors: give it a place in internal/architecture_test.go"}
	}
	var found []string
	for _, imported := range f.imports {
		if reason := f.refuse(dir, own, imported, table); reason != "" {
			found = append(found, f.path+": "+reason)
		}
	}
	return found
}

// refuse says why the file may not import a package, or nothing if it may.
func (f sourceFile) refuse(dir string, own place, imported string, table map[string]place) string {
	target, ours := strings.CutPrefix(imported, module+"/")
	switch {
	case ours:
		return f.refuseOwn(dir, own, target, table)
	case strings.HasPrefix(imported, "k8s.io/client-go/") && dir != "internal/kube":
		return dir + " imports " + imported + ": only internal/kube talks to a cluster"
	case forTestsOnly(imported) && !f.test() && !own.helper:
		return dir + " imports " + imported + " outside a test"
	}
	return ""
}

func (f sourceFile) refuseOwn(dir string, own place, target string, table map[string]place) string {
	who := dir + " (" + own.String() + ")"
	other, known := table[target]
	switch {
	case !known:
		return who + " imports " + target + ", which is not in the table of floors: give it a place in internal/architecture_test.go"
	case target == dir || f.outside() || slices.Contains(own.also, target):
		return ""
	case other.helper:
		if f.test() || own.helper {
			return ""
		}
		return dir + " imports " + target + ", which is for tests only"
	case own.beside:
		return who + " imports " + target + " (" + other.String() + "): a package beside the floors imports no other package of this module"
	case other.beside:
		if f.test() || len(other.importers) == 0 || slices.Contains(other.importers, dir) {
			return ""
		}
		return who + " imports " + target + " (" + other.String() + "): only " + strings.Join(other.importers, ", ") + " and tests may"
	case other.floor >= own.floor:
		return who + " imports " + target + " (" + other.String() + "): a package imports lower floors only"
	}
	return ""
}

func forTestsOnly(imported string) bool {
	return imported == "testing" || strings.HasPrefix(imported, "testing/") || imported == "net/http/httptest"
}

func (p place) String() string {
	if p.beside {
		return "beside the floors"
	}
	return "floor " + strconv.Itoa(p.floor)
}
