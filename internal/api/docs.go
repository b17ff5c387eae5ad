package api

import (
	"bytes"
	_ "embed" // the page
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

const docsPath = "/api/docs"

//go:embed docs.html
var docsText string

// docs is the description of the API as a page for people: it needs no script and loads
// nothing.
type docs struct {
	Version string
	Groups  []docsGroup
	Types   []docsType
}

// docsGroup is what has one tag.
type docsGroup struct {
	Name       string
	Operations []docsOperation
}

type docsOperation struct {
	*huma.Operation
	Body    docsField
	Answers []docsAnswer
}

type docsAnswer struct {
	Status string
	Body   docsField
}

type docsType struct {
	Name   string
	Fields []docsField
}

// docsField is a property, a parameter or a body: its type in words, and the named type in
// it, "" for none.
type docsField struct {
	Name, Type, Link, Text string
	Required               bool
}

// serveDocs serves the page, made at the first request.
func (s *service) serveDocs(api huma.API) http.HandlerFunc {
	page := sync.OnceValues(func() ([]byte, error) { return writeDocs(api.OpenAPI(), s.Version) })
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := page()
		if err != nil {
			writeProblem(w, s.fault(r.Context(), "docs", err))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = w.Write(text)
	}
}

func writeDocs(from *huma.OpenAPI, version string) ([]byte, error) {
	page, err := template.New("docs").Parse(docsText)
	if err != nil {
		return nil, fmt.Errorf("reading the page of the API: %w", err)
	}
	var text bytes.Buffer
	if err := page.Execute(&text, docsOf(from, version)); err != nil {
		return nil, fmt.Errorf("writing the page of the API: %w", err)
	}
	return text.Bytes(), nil
}

func docsOf(from *huma.OpenAPI, version string) docs {
	groups := map[string][]docsOperation{}
	for _, path := range slices.Sorted(maps.Keys(from.Paths)) {
		item := from.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			tag := strings.Join(op.Tags, ", ")
			groups[tag] = append(groups[tag], docsOperation{Operation: op, Body: docsBody(op), Answers: docsAnswers(op)})
		}
	}
	d := docs{Version: version}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		d.Groups = append(d.Groups, docsGroup{Name: name, Operations: groups[name]})
	}
	types := from.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(types)) {
		d.Types = append(d.Types, docsType{Name: name, Fields: docsFields(types[name])})
	}
	return d
}

func docsBody(op *huma.Operation) docsField {
	if op.RequestBody == nil {
		return docsField{}
	}
	return docsContent(op.RequestBody.Content)
}

func docsAnswers(op *huma.Operation) []docsAnswer {
	var all []docsAnswer
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		all = append(all, docsAnswer{Status: status, Body: docsContent(op.Responses[status].Content)})
	}
	return all
}

// docsContent is the first of the forms that content has.
func docsContent(content map[string]*huma.MediaType) docsField {
	if len(content) == 0 {
		return docsField{}
	}
	mediaType := slices.Min(slices.Collect(maps.Keys(content)))
	if schema := content[mediaType].Schema; schema != nil {
		return docsOfSchema("", schema)
	}
	return docsField{Type: mediaType}
}

func docsFields(of *huma.Schema) []docsField {
	var all []docsField
	for _, name := range slices.Sorted(maps.Keys(of.Properties)) {
		field := docsOfSchema(name, of.Properties[name])
		field.Required = slices.Contains(of.Required, name)
		all = append(all, field)
	}
	return all
}

// Field is a parameter as a row of a table.
func (docsOperation) Field(p *huma.Param) docsField {
	field := docsOfSchema(p.Name, p.Schema)
	field.Required, field.Type = p.Required, field.Type+", in the "+p.In
	if p.Description != "" {
		field.Text = p.Description
	}
	return field
}

func docsOfSchema(name string, of *huma.Schema) docsField {
	field := docsField{Name: name, Type: of.Type, Text: of.Description}
	switch {
	case of.Ref != "":
		field.Link = of.Ref[strings.LastIndexByte(of.Ref, '/')+1:]
	case of.Items != nil:
		item := docsOfSchema("", of.Items)
		field.Type, field.Link = strings.TrimSpace("list of "+item.Type), item.Link
	case of.Format != "":
		field.Type = of.Format
	}
	if len(of.Enum) > 0 {
		field.Type += fmt.Sprintf(", one of %v", of.Enum)
	}
	return field
}
