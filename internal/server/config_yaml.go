package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// yamlFile reads the values of a YAML file and collects what is wrong with them.
type yamlFile struct {
	name string
	fail func(error)
}

// entry is a value in the file under its key.
type entry struct {
	key  string // dotted: mirror.listen, upstreams[0].url
	line int    // of the key, or of the list's item
	node ast.Node
}

// fields says what is done with each key of a mapping.
type fields map[string]func(entry)

// parse returns the file's one document, or false when it is empty or cannot be
// read.
func (f *yamlFile) parse(text []byte) (entry, bool) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		f.fail(f.syntaxError(err))
		return entry{}, false
	}
	var root ast.Node
	for _, doc := range file.Docs {
		switch _, directive := doc.Body.(*ast.DirectiveNode); {
		case doc.Body == nil || directive:
		case root != nil:
			f.fail(fmt.Errorf("%s line %d: a second document begins here: write one only", f.name, lineOf(doc.Body)))
			return entry{}, false
		default:
			root = doc.Body
		}
	}
	if root == nil {
		return entry{}, false
	}
	return entry{line: lineOf(root), node: root}, true
}

// syntaxError leaves out the excerpt that the parser would show, as it may hold a
// secret.
func (f *yamlFile) syntaxError(err error) error {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil && e.GetToken().Position != nil {
		return fmt.Errorf("%s line %d: this is not YAML: %s", f.name, e.GetToken().Position.Line, e.GetMessage())
	}
	return fmt.Errorf("%s is not YAML", f.name)
}

func lineOf(node ast.Node) int {
	if t := node.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// from names the place of a value in errors.
func (f *yamlFile) from(e entry) string { return f.name + " line " + strconv.Itoa(e.line) }

// wrong notes that a value is of a kind that its key does not take.
func (f *yamlFile) wrong(e entry, advice string) {
	key := e.key
	if key == "" {
		key = "the configuration"
	}
	f.fail(fmt.Errorf("%s (%s) %s", key, f.from(e), advice))
}

// unset tells whether a key was written without a value, which leaves the default.
func unset(e entry) bool {
	_, null := e.node.(*ast.NullNode)
	return e.node == nil || null
}

// mapping hands each value of a mapping to its field. A key without a field is an
// error; one without a value is as if it were not there.
func (f *yamlFile) mapping(e entry, known fields) {
	if unset(e) {
		return
	}
	node, ok := e.node.(*ast.MappingNode)
	if !ok {
		f.wrong(e, "takes a mapping with the keys "+keys(known))
		return
	}
	for _, pair := range node.Values {
		child := entry{line: lineOf(pair.Key), node: pair.Value}
		if pair.Key.IsMergeKey() {
			f.wrong(child, "uses a YAML merge key: write the keys out")
			continue
		}
		name := pair.Key.GetToken().Value
		child.key = join(e.key, name)
		read, found := known[name]
		if !found {
			f.fail(f.unknownKey(child, e.key, name, known))
			continue
		}
		if !unset(child) {
			read(child)
		}
	}
}

func (f *yamlFile) unknownKey(e entry, parent, name string, known fields) error {
	key := shown(e.key)
	if near := nearest(name, slices.Sorted(maps.Keys(known))); near != "" {
		return fmt.Errorf("unknown key %q (%s): did you mean %s?", key, f.from(e), join(parent, near))
	}
	return fmt.Errorf("unknown key %q (%s): the keys known here are %s", key, f.from(e), keys(known))
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

func keys(known fields) string { return strings.Join(slices.Sorted(maps.Keys(known)), ", ") }

// text reads a scalar as it was written; 5000 and "5000" are the same.
func (f *yamlFile) text(e entry) (given, bool) {
	g := given{key: e.key, from: f.from(e)}
	switch node := e.node.(type) {
	case *ast.StringNode:
		g.text = node.Value
	case *ast.LiteralNode:
		g.text = strings.TrimRight(node.Value.Value, "\n")
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		g.text = node.GetToken().Value
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		f.wrong(e, "uses a YAML anchor, alias or tag: write the value itself")
		return g, false
	default:
		f.wrong(e, "takes a single value")
		return g, false
	}
	return g, true
}

func (f *yamlFile) boolean(e entry, to *bool) {
	node, ok := e.node.(*ast.BoolNode)
	if !ok {
		f.wrong(e, "takes true or false")
		return
	}
	*to = node.Value
}

// items returns the entries of a list; false when it is none.
func (f *yamlFile) items(e entry) ([]entry, bool) {
	node, ok := e.node.(*ast.SequenceNode)
	if !ok {
		f.wrong(e, "takes a list, for example [a, b]")
		return nil, false
	}
	items := make([]entry, 0, len(node.Values))
	for i, value := range node.Values {
		item := entry{key: e.key + "[" + strconv.Itoa(i) + "]", line: lineOf(value), node: value}
		if unset(item) {
			f.wrong(item, "has no value")
			continue
		}
		items = append(items, item)
	}
	return items, true
}

// list reads a list whose items are single values. An empty list is not nil.
func list[T any](f *yamlFile, e entry, parse func(given) (T, error)) []T {
	items, ok := f.items(e)
	if !ok {
		return nil
	}
	values := make([]T, 0, len(items))
	for _, item := range items {
		g, ok := f.text(item)
		if !ok {
			continue
		}
		value, err := parse(g)
		if err != nil {
			f.fail(err)
			continue
		}
		values = append(values, value)
	}
	return values
}
