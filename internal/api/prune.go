package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/gc"
)

// Collector removes what nothing refers to.
type Collector interface {
	Preview(ctx context.Context, o gc.Options) (gc.Summary, error)
	Collect(ctx context.Context, o gc.Options) (gc.Summary, error)
}

// PruneRequest asks for what nothing refers to to be listed, or removed.
type PruneRequest struct {
	Confirm                bool  `json:"confirm,omitempty" doc:"Remove it; otherwise it is only listed"`
	KeepYoungerThanSeconds int64 `json:"keepYoungerThanSeconds,omitempty" minimum:"0" maximum:"3153600000" doc:"Keep what is younger than this; less than a day means a day"`
}

// PruneLine is one line of the answer, which has one field. The last line has summary or
// error; whoever has read neither has not read all of it.
type PruneLine struct {
	Item    *PruneItem    `json:"item,omitempty"`
	Summary *PruneSummary `json:"summary,omitempty"`
	Error   string        `json:"error,omitempty" doc:"Why the run ended; what was listed as removed before is removed"`
	Working bool          `json:"working,omitempty" doc:"Nothing was found for a while, and the run goes on"`
}

// PruneItem is something that nothing refers to.
type PruneItem struct {
	Kind       string        `json:"kind" enum:"link,blob,orphan" doc:"link: a blob that a repository has and no manifest of it names; blob: one that no repository has; orphan: bytes in storage that belong to no blob"`
	Repository string        `json:"repository,omitempty" doc:"Of a link"`
	Digest     digest.Digest `json:"digest,omitempty" doc:"Of a link or a blob"`
	Key        string        `json:"key,omitempty" doc:"Of an orphan"`
	Size       int64         `json:"size" doc:"Bytes that become free; a link frees none by itself"`
}

// PruneSummary counts what was removed, or would be.
type PruneSummary struct {
	Removed bool  `json:"removed" doc:"False: it was only listed"`
	Links   int   `json:"links"`
	Blobs   int   `json:"blobs"`
	Orphans int   `json:"orphans"`
	Bytes   int64 `json:"bytes" doc:"That became free, or would"`
}

type pruneInput struct {
	Credentials
	Body PruneRequest
}

func (s *service) registerPrune(api huma.API) {
	line := huma.SchemaFromType(api.OpenAPI().Components.Schemas, reflect.TypeFor[PruneLine]())
	register(s, api, huma.Operation{
		OperationID: "prune", Method: http.MethodPost, Path: "/api/v1/prune", Tags: []string{"storage"},
		Summary: "List what nothing refers to any more, or remove it",
		Errors:  []int{http.StatusForbidden, http.StatusConflict},
		Responses: map[string]*huma.Response{"200": {
			Description: "One JSON object for each line, as they are found",
			Content:     map[string]*huma.MediaType{linesType: {Schema: line}},
		}},
	}, s.prune)
}

func (s *service) prune(ctx context.Context, who caller, in *pruneInput) (*huma.StreamResponse, error) {
	if err := s.permit(ctx, who, authz.Prune, authz.Target{}); err != nil {
		return nil, err
	}
	run := s.Collector.Preview
	if in.Body.Confirm {
		run = s.Collector.Collect
	}
	keep := time.Duration(in.Body.KeepYoungerThanSeconds) * time.Second
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		out := newLines(w, PruneLine{Working: true})
		defer out.end()
		found, err := run(r.Context(), gc.Options{KeepYoungerThan: keep, Each: func(i gc.Item) error {
			return out.write(PruneLine{Item: &PruneItem{Kind: string(i.Kind), Repository: i.Repository, Digest: i.Digest, Key: i.Key, Size: i.Size}})
		}})
		if err != nil {
			s.pruneFailed(r.Context(), out, err)
			return
		}
		_ = out.write(PruneLine{Summary: &PruneSummary{ // whoever has gone needs none
			Removed: in.Body.Confirm, Links: found.Links, Blobs: found.Blobs, Orphans: found.Orphans, Bytes: found.Bytes,
		}})
	}}, nil
}

// pruneFailed answers with the error, as a line where there have been some.
func (s *service) pruneFailed(ctx context.Context, out *lines, err error) {
	var p *huma.ErrorModel
	switch {
	case errors.Is(err, gc.ErrBusy):
		p = problem(http.StatusConflict, "nothing was removed: a backup or another collection is running; try again when it has ended")
	case errors.Is(err, gc.ErrForeign):
		p = problem(http.StatusConflict, err.Error())
	case ctx.Err() != nil:
		return
	default:
		p = s.fault(ctx, "prune", err)
	}
	out.fail(p, PruneLine{Error: p.Detail})
}
