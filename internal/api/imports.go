package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/imports"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Importer takes images from other registries.
type Importer interface {
	Import(ctx context.Context, wanted metadata.Import) (metadata.Import, error)
}

// Imports keeps what was imported from where, and how that went.
type Imports interface {
	Of(ctx context.Context, repository string) ([]metadata.Import, error)
}

// Import is a tag that is taken from another registry, as clients see it.
type Import struct {
	Repository string        `json:"repository"`
	Tag        string        `json:"tag"`
	From       string        `json:"from" doc:"The image that the tag is taken from" example:"docker.io/library/centos:7"`
	Scheduled  bool          `json:"scheduled" doc:"The source is asked again and again, and followed"`
	Creator    string        `json:"creator"`
	CreatedAt  time.Time     `json:"createdAt"`
	CheckedAt  *time.Time    `json:"checkedAt,omitempty" doc:"When the source was last asked"`
	ImportedAt *time.Time    `json:"importedAt,omitempty" doc:"When the tag was last set"`
	Digest     digest.Digest `json:"digest,omitempty" doc:"What the tag was last set to"`
	// Conditions are those of OpenShift's image streams.
	Conditions []ImportCondition `json:"conditions"`
}

// ImportCondition says how the last try went.
type ImportCondition struct {
	Type    string `json:"type" enum:"ImportSuccess"`
	Status  string `json:"status" enum:"True,False"`
	Reason  string `json:"reason,omitempty" example:"NotFound"`
	Message string `json:"message,omitempty" doc:"Of one that went well: that the project's own credentials are not used any more, and why"`
}

// ImportRequest asks for an import.
type ImportRequest struct {
	Tag       string `json:"tag" doc:"The tag that is set" example:"7"`
	From      string `json:"from,omitempty" maxLength:"1000" doc:"The image to take; without it the source of the tag's last import"`
	Scheduled bool   `json:"scheduled,omitempty" doc:"Follow the source from now on"`
	Create    bool   `json:"create,omitempty" doc:"Make the repository if it does not exist"`
}

// ImportLine is one line of the answer to an import.
type ImportLine struct {
	Import  *Import `json:"import,omitempty" doc:"The import when it is done, also if it has failed"`
	Working bool    `json:"working,omitempty" doc:"It still goes on"`
	Error   string  `json:"error,omitempty" doc:"Why the answer ends here"`
}

// ImportList is the imports of a repository, ordered by tag.
type ImportList struct {
	Items []Import `json:"items"`
}

type importInput struct {
	Credentials
	Project    string `path:"project"`
	Repository string `path:"repository" doc:"Without the project; a slash in it is written %2F"`
	Body       ImportRequest
}

type listImportsInput struct {
	Credentials
	Project    string `path:"project"`
	Repository string `path:"repository" doc:"Without the project; a slash in it is written %2F"`
}

type listImportsOutput struct{ Body ImportList }

func (s *service) registerImports(api huma.API) {
	line := huma.SchemaFromType(api.OpenAPI().Components.Schemas, reflect.TypeFor[ImportLine]())
	const path = "/api/v1/projects/{project}/repositories/{repository}/imports"
	register(s, api, huma.Operation{
		OperationID: "import-image", Method: http.MethodPost, Path: path, Tags: []string{"repositories"},
		Summary: "Take an image from another registry",
		Errors:  []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
		Responses: map[string]*huma.Response{"200": {
			Description: "One JSON object for each line: some while the import goes on, and at last the import",
			Content:     map[string]*huma.MediaType{linesType: {Schema: line}},
		}},
	}, s.importImage)
	register(s, api, huma.Operation{
		OperationID: "list-imports", Method: http.MethodGet, Path: path, Tags: []string{"repositories"},
		Summary: "List what a repository imports", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.listImports)
}

func (s *service) importImage(ctx context.Context, who caller, in *importInput) (*huma.StreamResponse, error) {
	repo, err := s.importTarget(ctx, who, in.Project, in.Repository)
	if err != nil {
		return nil, err
	}
	wanted, err := s.wantedImport(ctx, repo, in.Body)
	if err != nil {
		return nil, err
	}
	wanted.Creator = who.User
	if wanted.Member, err = authz.ImportsAsMember(ctx, s.Authorizer.Allowed, who.Identity, in.Project); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		out := newLines(w, ImportLine{Working: true})
		defer out.end()
		done, err := s.Importer.Import(r.Context(), wanted)
		switch {
		case errors.Is(err, imports.ErrBusy):
			out.fail(problem(http.StatusConflict, err.Error()), ImportLine{Error: err.Error()})
		case err != nil && r.Context().Err() == nil:
			p := s.fault(r.Context(), "import-image", err)
			out.fail(p, ImportLine{Error: p.Detail})
		case err == nil:
			shown := importOf(done)
			_ = out.write(ImportLine{Import: &shown}) // whoever has gone needs none
		}
	}}, nil
}

// importTarget finds a repository's name in a hosted project that the caller may see,
// whether it exists or not, and refuses whoever may not import into it.
func (s *service) importTarget(ctx context.Context, who caller, project, repository string) (oci.Repository, error) {
	p, err := s.visibleProject(ctx, who, project)
	if err != nil {
		return "", err
	}
	if p.Kind != metadata.Hosted {
		return "", problem(http.StatusBadRequest, fmt.Sprintf("project %s mirrors an upstream and fetches by itself what is pulled: import into a project that people push to", p.Name))
	}
	repo, err := oci.ParseRepository(p.Name + "/" + repository)
	if err != nil {
		return "", problem(http.StatusBadRequest, err.Error())
	}
	target := projectTarget(p)
	target.Repository = repo.String()
	return repo, s.permit(ctx, who, authz.Import, target)
}

// wantedImport checks a request, and completes it from the tag's last import.
func (s *service) wantedImport(ctx context.Context, repo oci.Repository, r ImportRequest) (metadata.Import, error) {
	wanted := metadata.Import{Repository: repo.String(), Tag: r.Tag, Source: r.From, Scheduled: r.Scheduled}
	if err := oci.CheckTag(r.Tag); err != nil {
		return wanted, problem(http.StatusBadRequest, err.Error())
	}
	if !r.Create {
		exists, err := s.Repositories.Exists(ctx, repo.String())
		if err != nil {
			return wanted, err
		}
		if !exists {
			return wanted, problem(http.StatusNotFound, fmt.Sprintf("repository %s does not exist: add --confirm to make it", repo))
		}
	}
	known, err := s.Imports.Of(ctx, repo.String())
	if err != nil {
		return wanted, err
	}
	for _, last := range known {
		if last.Tag == r.Tag && (wanted.Source == "" || wanted.Source == last.Source) {
			wanted.Source, wanted.Digest, wanted.ImportedAt = last.Source, last.Digest, last.ImportedAt
		}
	}
	if wanted.Source == "" {
		return wanted, problem(http.StatusBadRequest, fmt.Sprintf("%s:%s was never imported: say from where, with --from=IMAGE", repo, r.Tag))
	}
	if _, err := imports.ParseImage(wanted.Source); err != nil {
		return wanted, problem(http.StatusBadRequest, err.Error())
	}
	return wanted, nil
}

func (s *service) listImports(ctx context.Context, who caller, in *listImportsInput) (*listImportsOutput, error) {
	r, _, err := s.visibleRepository(ctx, who, RepositoryPath{Project: in.Project, Repository: in.Repository})
	if err != nil {
		return nil, err
	}
	all, err := s.Imports.Of(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	out := &listImportsOutput{Body: ImportList{Items: []Import{}}}
	for _, i := range all {
		out.Body.Items = append(out.Body.Items, importOf(i))
	}
	return out, nil
}

func importOf(i metadata.Import) Import {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	shown := Import{
		Repository: i.Repository, Tag: i.Tag, From: i.Source, Scheduled: i.Scheduled, Creator: i.Creator, CreatedAt: i.CreatedAt.UTC(),
		CheckedAt: at(i.CheckedAt), ImportedAt: at(i.ImportedAt), Digest: i.Digest, Conditions: []ImportCondition{},
	}
	switch {
	case i.Reason != "":
		shown.Conditions = append(shown.Conditions, ImportCondition{Type: "ImportSuccess", Status: "False", Reason: i.Reason, Message: i.Message})
	case !i.CheckedAt.IsZero():
		shown.Conditions = append(shown.Conditions, ImportCondition{Type: "ImportSuccess", Status: "True", Message: i.Message})
	}
	return shown
}
