package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata"
)

// Retentions keeps the rules of projects.
type Retentions interface {
	Get(ctx context.Context, project string) (metadata.Retention, error)
	Set(ctx context.Context, r metadata.Retention) error
	Delete(ctx context.Context, project string) error
}

// RetentionPreviewer tells what rules would keep.
type RetentionPreviewer interface {
	Preview(ctx context.Context, project string, rules gc.Rules, from gc.Cursor, limit int) ([]gc.Previewed, *gc.Cursor, error)
}

// Retention is what a project keeps.
type Retention struct {
	Project   string           `json:"project"`
	Rules     gc.RulesDocument `json:"rules"`
	UpdatedAt time.Time        `json:"updatedAt"`
	Actor     string           `json:"actor" doc:"Who set the rules"`
}

// RetentionVerdict is what becomes of a tag, or of a manifest without a tag.
type RetentionVerdict struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty" doc:"Absent for a manifest without a tag"`
	Digest     string `json:"digest"`
	Size       int64  `json:"size" doc:"Of the image with its layers, in bytes; those that other images have, too, do not become free"`
	Verdict    string `json:"verdict" enum:"keep,delete"`
	Why        string `json:"why"`
}

// RetentionPreview is one page of verdicts, ordered by repository.
type RetentionPreview struct {
	Items []RetentionVerdict `json:"items"`
	Next  string             `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

type retentionOutput struct{ Body Retention }

type setRetentionInput struct {
	Credentials
	Name string `path:"name"`
	Body gc.RulesDocument
}

type previewInput struct {
	Credentials
	PreviewPage
	Name string `path:"name"`
}

type previewRulesInput struct {
	Credentials
	PreviewPage
	Name string `path:"name"`
	Body gc.RulesDocument
}

// PreviewPage says which part of a preview is asked for.
type PreviewPage struct {
	After string `query:"after" maxLength:"400" doc:"The next of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"1000"`
}

type previewOutput struct{ Body RetentionPreview }

func (s *service) registerRetention(api huma.API) {
	const path = "/api/v1/projects/{name}/retention"
	tags := []string{"retention"}
	register(s, api, huma.Operation{
		OperationID: "get-retention", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "Read what a project keeps", Errors: []int{http.StatusNotFound},
	}, s.getRetention)
	register(s, api, huma.Operation{
		OperationID: "set-retention", Method: http.MethodPut, Path: path, Tags: tags,
		Summary: "Say what a project keeps", Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound},
	}, s.setRetention)
	register(s, api, huma.Operation{
		OperationID: "delete-retention", Method: http.MethodDelete, Path: path, Tags: tags,
		Summary: "Have a project keep everything", DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.deleteRetention)
	register(s, api, huma.Operation{
		OperationID: "preview-retention", Method: http.MethodGet, Path: path + "/preview", Tags: tags,
		Summary: "Tell what a project's rules would delete now", Errors: []int{http.StatusBadRequest, http.StatusNotFound},
	}, s.previewRetention)
	register(s, api, huma.Operation{
		OperationID: "preview-retention-rules", Method: http.MethodPost, Path: path + "/preview", Tags: tags,
		Metadata: map[string]any{readOnly: true},
		Summary:  "Tell what other rules would delete now", Errors: []int{http.StatusBadRequest, http.StatusNotFound},
	}, s.previewRules)
}

func (s *service) getRetention(ctx context.Context, who caller, in *projectInput) (*retentionOutput, error) {
	r, _, err := s.retentionOf(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	return &retentionOutput{Body: r}, nil
}

// retentionOf finds the rules of a project that the caller may see.
func (s *service) retentionOf(ctx context.Context, who caller, name string) (Retention, gc.Rules, error) {
	if _, err := s.visibleProject(ctx, who, name); err != nil {
		return Retention{}, gc.Rules{}, err
	}
	stored, err := s.Retentions.Get(ctx, name)
	if errors.Is(err, metadata.ErrNotFound) {
		return Retention{}, gc.Rules{}, problem(http.StatusNotFound, fmt.Sprintf("project %s has no rules and keeps everything: larder set retention -n %s gives it some", name, name))
	}
	if err != nil {
		return Retention{}, gc.Rules{}, err
	}
	rules, err := gc.ParseRules([]byte(stored.Rules))
	if err != nil {
		return Retention{}, gc.Rules{}, fmt.Errorf("the rules of project %s: %w", name, err)
	}
	return Retention{Project: name, Rules: rules.Document(), UpdatedAt: stored.UpdatedAt, Actor: stored.Actor}, rules, nil
}

func (s *service) setRetention(ctx context.Context, who caller, in *setRetentionInput) (*retentionOutput, error) {
	if err := s.mayRetain(ctx, who, in.Name); err != nil {
		return nil, err
	}
	rules, err := rulesOf(in.Body)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(rules.Document())
	if err != nil {
		return nil, fmt.Errorf("writing the rules: %w", err)
	}
	stored := metadata.Retention{Project: in.Name, Rules: string(text), UpdatedAt: s.Now().UTC().Truncate(time.Microsecond), Actor: who.User}
	if err := s.Retentions.Set(ctx, stored); err != nil {
		return nil, err
	}
	return &retentionOutput{Body: Retention{Project: in.Name, Rules: rules.Document(), UpdatedAt: stored.UpdatedAt, Actor: stored.Actor}}, nil
}

func (s *service) deleteRetention(ctx context.Context, who caller, in *projectInput) (*struct{}, error) {
	if err := s.mayRetain(ctx, who, in.Name); err != nil {
		return nil, err
	}
	err := s.Retentions.Delete(ctx, in.Name)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("project %s has no rules: it keeps everything already", in.Name))
	}
	return nil, err
}

// mayRetain refuses callers who may not say what a project keeps.
func (s *service) mayRetain(ctx context.Context, who caller, name string) error {
	p, err := s.visibleProject(ctx, who, name)
	if err != nil {
		return err
	}
	return s.permit(ctx, who, authz.UpdateProject, projectTarget(p))
}

func rulesOf(doc gc.RulesDocument) (gc.Rules, error) {
	rules, err := doc.Rules()
	if err != nil {
		return gc.Rules{}, problem(http.StatusBadRequest, "the rules cannot be used: "+err.Error())
	}
	return rules, nil
}

func (s *service) previewRetention(ctx context.Context, who caller, in *previewInput) (*previewOutput, error) {
	_, rules, err := s.retentionOf(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	return s.preview(ctx, in.Name, rules, in.PreviewPage)
}

func (s *service) previewRules(ctx context.Context, who caller, in *previewRulesInput) (*previewOutput, error) {
	if _, err := s.visibleProject(ctx, who, in.Name); err != nil {
		return nil, err
	}
	rules, err := rulesOf(in.Body)
	if err != nil {
		return nil, err
	}
	return s.preview(ctx, in.Name, rules, in.PreviewPage)
}

func (s *service) preview(ctx context.Context, project string, rules gc.Rules, page PreviewPage) (*previewOutput, error) {
	from, err := parseCursor(project, page.After)
	if err != nil {
		return nil, err
	}
	found, next, err := s.Retention.Preview(ctx, project, rules, from, page.Limit)
	if err != nil {
		return nil, err
	}
	out := &previewOutput{Body: RetentionPreview{Items: []RetentionVerdict{}}}
	for _, v := range found {
		verdict := "keep"
		if v.Goes {
			verdict = "delete"
		}
		out.Body.Items = append(out.Body.Items, RetentionVerdict{
			Repository: v.Repository.String(), Tag: v.Tag, Digest: v.Digest.String(), Size: v.Size, Verdict: verdict, Why: v.Why,
		})
	}
	if next != nil {
		out.Body.Next = next.Repository + "@" + strconv.Itoa(next.Verdict)
	}
	return out, nil
}

// parseCursor reads what an answer had as next. It leads to no other project.
func parseCursor(project, text string) (gc.Cursor, error) {
	if text == "" {
		return gc.Cursor{}, nil
	}
	repository, number, _ := strings.Cut(text, "@")
	verdict, err := strconv.ParseUint(number, 10, 31)
	if err != nil || !strings.HasPrefix(repository, project+"/") {
		return gc.Cursor{}, problem(http.StatusBadRequest, fmt.Sprintf("after is %.100q: it is the next of the page before", text))
	}
	return gc.Cursor{Repository: repository, Verdict: int(verdict)}, nil
}
