// Package internal_test holds the one rule about the arrangement of the
// packages: a package imports lower floors only.
package internal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/larder-registry/larder"

// places is the whole table. A package is added here before it is written, and
// it may be here before it exists.
func places() map[string]place {
	return map[string]place{
		"cmd/larder": {floor: 6},

		"internal/server": {floor: 5},

		"internal/distribution": {floor: 4},
		"internal/api":          {floor: 4},
		"internal/hubapi":       {floor: 4},
		"internal/console":      {floor: 4},
		"internal/admission":    {floor: 4},
		"internal/imagetrigger": {floor: 4},

		"internal/pullthrough": {floor: 3},
		"internal/authz":       {floor: 3},
		"internal/imports":     {floor: 3},
		"internal/pulllimit":   {floor: 3},
		"internal/warm":        {floor: 3},

		"internal/registry":  {floor: 2},
		"internal/authn":     {floor: 2},
		"internal/events":    {floor: 2},
		"internal/ledger":    {floor: 2},
		"internal/failures":  {floor: 2},
		"internal/fairshare": {floor: 2},
		"internal/gc":        {floor: 2},
		"internal/backup":    {floor: 2},

		"internal/credentials": {floor: 2},
		"internal/pullsecrets": {floor: 2},
		"internal/rewriting":   {floor: 2},
		"internal/nodefiles":   {floor: 2},

		"internal/blob":                  {floor: 1},
		"internal/blob/s3":               {floor: 1, also: []string{"internal/blob"}},
		"internal/blob/tier":             {floor: 1, also: []string{"internal/blob"}},
		"internal/blob/blobtest":         {floor: 1, helper: true, also: []string{"internal/blob"}},
		"internal/metadata":              {floor: 1},
		"internal/metadata/metadatatest": {floor: 1, helper: true, also: []string{"internal/metadata"}},
		"internal/upstream":              {floor: 1},
		"internal/kube":                  {floor: 1},
		"internal/mirror":                {floor: 1},
		"internal/imagecopy":             {floor: 1},

		"deploy/charts":      {floor: 0},
		"internal/helmchart": {floor: 1},

		"internal/oci":       {floor: 0},
		"internal/batch":     {floor: 0},
		"internal/sleep":     {floor: 0},
		"internal/telemetry": {floor: 0},
		"internal/ratelimit": {floor: 0},

		"internal/hubsim":  {beside: true, importers: []string{"cmd/larder"}},
		"internal/testkit": {beside: true},

		"internal/testkit/s3test":      {beside: true, helper: true, also: []string{"internal/testkit"}},
		"internal/testkit/kubetest":    {beside: true, helper: true},
		"internal/testkit/certmanager": {beside: true, helper: true, also: []string{"internal/testkit"}},
		"internal/testkit/gitops":      {beside: true, helper: true, also: []string{"internal/testkit"}},
		"internal/testkit/kubeserver":  {beside: true, helper: true, also: []string{"internal/testkit"}},
		"internal/testkit/oidctest":    {beside: true, helper: true},
	}
}

func TestAPackageImportsLowerFloorsOnly(t *testing.T) {
	files, err := sourceFiles(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file found under internal/ and cmd/: the test looks in the wrong folder")
	}
	table := places()
	for _, f := range files {
		for _, complaint := range f.complaints(table) {
			t.Error(complaint)
		}
	}
}

func TestTheRuleFindsBadImports(t *testing.T) {
	table := places()
	tests := []struct {
		name string
		file sourceFile
		want []string
	}{
		{
			name: "a lower floor, the standard library and other modules are fine",
			file: sourceFile{path: "internal/registry/push.go", pkg: "registry", imports: []string{
				"net/http", "github.com/opencontainers/go-digest", module + "/internal/blob", module + "/internal/oci",
			}},
		},
		{
			name: "a higher floor is refused",
			file: sourceFile{path: "internal/blob/file.go", pkg: "blob", imports: []string{module + "/internal/registry"}},
			want: []string{"internal/blob/file.go: internal/blob (floor 1) imports internal/registry (floor 2): a package imports lower floors only"},
		},
		{
			name: "the same floor is refused",
			file: sourceFile{path: "internal/authn/token.go", pkg: "authn", imports: []string{module + "/internal/registry"}},
			want: []string{"internal/authn/token.go: internal/authn (floor 2) imports internal/registry (floor 2): a package imports lower floors only"},
		},
		{
			name: "a test inside its package is held to the floors",
			file: sourceFile{path: "internal/oci/name_test.go", pkg: "oci", imports: []string{"testing", module + "/internal/upstream"}},
			want: []string{"internal/oci/name_test.go: internal/oci (floor 0) imports internal/upstream (floor 1): a package imports lower floors only"},
		},
		{
			name: "a test from outside its package may stack the floors and use the helpers",
			file: sourceFile{path: "internal/pullthrough/fill_test.go", pkg: "pullthrough_test", imports: []string{
				"testing", "net/http/httptest", module + "/internal/distribution", module + "/internal/hubsim",
			}},
		},
		{
			name: "a driver may import the port that it serves",
			file: sourceFile{path: "internal/blob/s3/s3.go", pkg: "s3", imports: []string{module + "/internal/blob"}},
		},
		{
			name: "a test suite may import its port and testing",
			file: sourceFile{path: "internal/blob/blobtest/suite.go", pkg: "blobtest", imports: []string{"testing", module + "/internal/blob"}},
		},
		{
			name: "program code does not import a test suite",
			file: sourceFile{path: "internal/registry/push.go", pkg: "registry", imports: []string{module + "/internal/blob/blobtest"}},
			want: []string{"internal/registry/push.go: internal/registry imports internal/blob/blobtest, which is for tests only"},
		},
		{
			name: "the simulated Hub imports no other package of this module",
			file: sourceFile{path: "internal/hubsim/token.go", pkg: "hubsim", imports: []string{module + "/internal/oci"}},
			want: []string{"internal/hubsim/token.go: internal/hubsim (beside the floors) imports internal/oci (floor 0): a package beside the floors imports no other package of this module"},
		},
		{
			name: "only the command imports the simulated Hub",
			file: sourceFile{path: "internal/server/wire.go", pkg: "server", imports: []string{module + "/internal/hubsim"}},
			want: []string{"internal/server/wire.go: internal/server (floor 5) imports internal/hubsim (beside the floors): only cmd/larder and tests may"},
		},
		{
			name: "the demo may import the simulated Hub",
			file: sourceFile{path: "cmd/larder/demo.go", pkg: "main", imports: []string{module + "/internal/hubsim", module + "/internal/server"}},
		},
		{
			name: "a package that is not in the table is refused",
			file: sourceFile{path: "internal/util/strings.go", pkg: "util"},
			want: []string{"internal/util/strings.go: internal/util is not in the table of floors: give it a place in internal/architecture_test.go"},
		},
		{
			name: "an import that is not in the table is refused",
			file: sourceFile{path: "internal/server/wire.go", pkg: "server", imports: []string{module + "/internal/util"}},
			want: []string{"internal/server/wire.go: internal/server (floor 5) imports internal/util, which is not in the table of floors: give it a place in internal/architecture_test.go"},
		},
		{
			name: "client-go stays in kube",
			file: sourceFile{path: "internal/authn/review.go", pkg: "authn", imports: []string{"k8s.io/client-go/kubernetes"}},
			want: []string{"internal/authn/review.go: internal/authn imports k8s.io/client-go/kubernetes: only internal/kube talks to a cluster"},
		},
		{
			name: "kube imports client-go",
			file: sourceFile{path: "internal/kube/client.go", pkg: "kube", imports: []string{"k8s.io/client-go/kubernetes"}},
		},
		{
			name: "program code does not import testing",
			file: sourceFile{path: "internal/oci/name.go", pkg: "oci", imports: []string{"net/http/httptest", "testing", "testing/fstest"}},
			want: []string{
				"internal/oci/name.go: internal/oci imports net/http/httptest outside a test",
				"internal/oci/name.go: internal/oci imports testing outside a test",
				"internal/oci/name.go: internal/oci imports testing/fstest outside a test",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.file.complaints(table)); diff != "" {
				t.Errorf("complaints (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABadImportIsFoundInAFolderOfSources(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("cmd/larder/main.go", "package main\n\nimport _ \""+module+"/internal/server\"\n")
	write("internal/oci/up.go", "package oci\n\nimport _ \""+module+"/internal/server\"\n")
	write("internal/oci/testdata/bad.go", "package bad\n\nimport _ \"testing\"\n")

	files, err := sourceFiles(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.complaints(places())...)
	}
	want := []string{"internal/oci/up.go: internal/oci (floor 0) imports internal/server (floor 5): a package imports lower floors only"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("complaints (-want +got):\n%s", diff)
	}
}
