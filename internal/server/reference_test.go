package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAPIReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	text, err := newServer(t, Config{Version: "1"}).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	ref := reference{comments: typeComments(t)}
	if err := json.Unmarshal(text, &ref.doc); err != nil {
		t.Fatal(err)
	}
	head, err := os.ReadFile(filepath.Join("testdata", "api-head.md"))
	if err != nil {
		t.Fatal(err)
	}
	got := bytes.NewBuffer(head)
	ref.write(got)

	path := filepath.Join("..", "..", "docs", "api.md")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("docs/api.md is not current: run `make generate`")
	}
}

// A reference writes the OpenAPI document for people.
type reference struct {
	comments map[string]string // by name of the type
	doc      struct {
		Paths      map[string]map[string]docOperation
		Components struct{ Schemas map[string]docSchema }
	}
}

type docOperation struct {
	Summary     string
	Description string
	Tags        []string
	Parameters  []struct {
		Name, In, Description string
		Schema                docSchema
	}
	RequestBody *docContent
	Responses   map[string]docContent
}

type docContent struct {
	Content map[string]struct{ Schema docSchema }
	Headers map[string]struct{ Description string }
}

type docSchema struct {
	Ref         string `json:"$ref"`
	Type        any
	Format      string
	Description string
	Enum        []string
	Items       *docSchema
	OneOf       []docSchema
	Required    []string
	Properties  map[string]docSchema
	Additional  any `json:"additionalProperties"`
}

// nouns are the parts of the reference, in their order.
var nouns = []struct{ tag, title string }{
	{"data", "Data"}, {"plan", "Plans"}, {"run", "Runs"}, {"image", "Images"}, {"event", "Events"}, {"system", "The system"}, {"", "Health"},
}

func (ref *reference) write(w io.Writer) {
	for _, noun := range nouns {
		fmt.Fprintf(w, "\n## %s\n", noun.title)
		for _, path := range slices.Sorted(maps.Keys(ref.doc.Paths)) {
			for _, method := range []string{"get", "post", "put", "delete"} {
				op, ok := ref.doc.Paths[path][method]
				if ok && strings.Join(op.Tags, " ") == noun.tag {
					writeOperation(w, strings.ToUpper(method), path, op)
				}
			}
		}
	}
	fmt.Fprint(w, "\n## Shapes\n\nFields marked *optional* may be absent.\n")
	for _, name := range slices.Sorted(maps.Keys(ref.doc.Components.Schemas)) {
		ref.writeShape(w, name)
	}
}

func writeOperation(w io.Writer, method, path string, op docOperation) {
	fmt.Fprintf(w, "\n### %s %s\n\n%s.", method, path, op.Summary)
	if op.Description != "" {
		fmt.Fprintf(w, " %s", op.Description)
	}
	fmt.Fprintln(w)
	var rows []string
	for _, p := range op.Parameters {
		if p.In == "path" && p.Description == "" {
			continue // an id in a path explains itself
		}
		about := p.Description
		if p.Schema.isA("array") {
			about += "; may be repeated"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", p.Name, p.In, cell(about)))
	}
	if rows != nil {
		fmt.Fprintf(w, "\n| parameter | in | |\n|---|---|---|\n%s", strings.Join(rows, ""))
	}
	fmt.Fprintln(w)
	if op.RequestBody != nil {
		fmt.Fprintf(w, "- takes %s\n", op.RequestBody.what())
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if status == "default" {
			continue // an Error, as everywhere
		}
		answer := op.Responses[status]
		fmt.Fprintf(w, "- answers %s", status)
		if what := answer.what(); what != "" {
			fmt.Fprintf(w, ": %s", what)
		}
		for _, header := range slices.Sorted(maps.Keys(answer.Headers)) {
			fmt.Fprintf(w, "; `%s`: %s", header, answer.Headers[header].Description)
		}
		fmt.Fprintln(w)
	}
}

// what describes a body.
func (c docContent) what() string {
	var all []string
	for _, contentType := range slices.Sorted(maps.Keys(c.Content)) {
		shape := c.Content[contentType].Schema
		switch {
		case contentType == "application/json":
			all = append(all, shape.what())
		case shape.Ref != "":
			all = append(all, fmt.Sprintf("`%s`, each %s", contentType, shape.what()))
		default:
			all = append(all, "`"+contentType+"`")
		}
	}
	return strings.Join(all, " or ")
}

func (s docSchema) isA(kind string) bool {
	if kinds, ok := s.Type.([]any); ok {
		return slices.Contains(kinds, any(kind))
	}
	return s.Type == kind
}

// what describes a value in a few words.
func (s docSchema) what() string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	case len(s.OneOf) > 0:
		var all []string
		for _, one := range s.OneOf {
			all = append(all, one.what())
		}
		return strings.Join(all, " or ")
	case s.isA("array") && s.Items != nil:
		return "list of " + s.Items.what()
	case s.isA("object"):
		return "object of name → value"
	case s.Enum != nil:
		return "`" + strings.Join(s.Enum, "`, `") + "`"
	case s.isA("string"):
		return "string"
	}
	return fmt.Sprint(s.Type)
}

// writeShape writes the fields of an object: first what is always there, in the
// order of the Go type, then the rest.
func (ref *reference) writeShape(w io.Writer, name string) {
	s := ref.doc.Components.Schemas[name]
	fmt.Fprintf(w, "\n### %s\n\n%s\n\n| field | is | |\n|---|---|---|\n", name, ref.comments[name])
	at := func(field string) int {
		if i := slices.Index(s.Required, field); i >= 0 {
			return i
		}
		return len(s.Required)
	}
	fields := slices.SortedFunc(maps.Keys(s.Properties), func(a, b string) int {
		return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(a, b))
	})
	for _, field := range fields {
		p := s.Properties[field]
		about := p.Description
		if !slices.Contains(s.Required, field) {
			about = strings.TrimSuffix("*optional*; "+about, "; ")
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", field, cell(p.what()), cell(about))
	}
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// typeComments returns what package api says of its types.
func typeComments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "api", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				out[g.Specs[0].(*ast.TypeSpec).Name.Name] = strings.Join(strings.Fields(g.Doc.Text()), " ")
			}
		}
	}
	return out
}
