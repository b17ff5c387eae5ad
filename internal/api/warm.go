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
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/warm"
)

// maxDrilled is how many images one drill looks at.
const maxDrilled = 10_000

// Pulled tells what was pulled.
type Pulled interface {
	PulledSince(ctx context.Context, since time.Time, limit int) ([]metadata.PulledImage, error)
}

// WarmRequest asks for an image to be fetched before anybody pulls it.
type WarmRequest struct {
	Image     string   `json:"image" maxLength:"600" example:"docker-hub/library/nginx:1.27" doc:"By its name here, or by that in its own registry, as in docker.io/library/nginx:1.27"`
	Platforms []string `json:"platforms,omitempty" maxItems:"50" doc:"Such as linux/arm64, or all; linux/amd64 when there are none"`
	DryRun    bool     `json:"dryRun,omitempty" doc:"Only tell what it would cost"`
}

// Warmed is an image that is here now, and what that has cost; of a dry run, what it would.
type Warmed struct {
	Image   string `json:"image" doc:"By its name here"`
	Digest  string `json:"digest"`
	Pulls   int    `json:"pulls" doc:"Manifests that are asked for by GET, which upstreams count"`
	Blobs   int    `json:"blobs"`
	Bytes   int64  `json:"bytes" doc:"What is transferred"`
	Unknown int    `json:"unknown,omitempty" doc:"Of a dry run: manifests that are not here, so that it is not known which blobs and bytes come with them"`
}

// WarmLine is one line of the answer.
type WarmLine struct {
	Warmed  *Warmed `json:"warmed,omitempty" doc:"The image, when it is done"`
	Working bool    `json:"working,omitempty" doc:"It still goes on"`
	Error   string  `json:"error,omitempty" doc:"Why the answer ends here"`
}

// DrillRequest says which images have to be here.
type DrillRequest struct {
	Images    []string  `json:"images,omitempty" maxItems:"1000" doc:"By their names here, or those in their own registries"`
	Pins      bool      `json:"pins,omitempty" doc:"All that is pinned"`
	Since     time.Time `json:"since,omitzero" doc:"All that was pulled since; for those who may get upstreams/ledger"`
	Platforms []string  `json:"platforms,omitempty" maxItems:"50" doc:"Such as linux/arm64, or all; when there are none, one that is here will do"`
}

// DrillLine is one line of the answer: an image and what is missing of it.
type DrillLine struct {
	Image   string         `json:"image,omitempty"`
	Missing []warm.Missing `json:"missing,omitempty"`
	Done    bool           `json:"done,omitempty" doc:"All images have been looked at"`
	Left    bool           `json:"left,omitempty" doc:"There are more images than one drill looks at, which is 10,000: the others were not looked at, and error says what to do"`
	Working bool           `json:"working,omitempty" doc:"It still goes on"`
	Error   string         `json:"error,omitempty" doc:"Why the answer ends here, or why nothing can be said of the image"`
}

type warmInput struct {
	Credentials
	Body WarmRequest
}

type drillInput struct {
	Credentials
	Body DrillRequest
}

func (s *service) registerWarm(api huma.API) {
	answers := func(of reflect.Type, text string) map[string]*huma.Response {
		return map[string]*huma.Response{"200": {
			Description: text, Content: map[string]*huma.MediaType{linesType: {Schema: huma.SchemaFromType(api.OpenAPI().Components.Schemas, of)}},
		}}
	}
	register(s, api, huma.Operation{
		OperationID: "warm-image", Method: http.MethodPost, Path: "/api/v1/warm", Tags: []string{"repositories"},
		Summary: "Fetch an image before anybody pulls it, or tell what that would cost", Errors: []int{http.StatusBadRequest, http.StatusNotFound},
		Responses: answers(reflect.TypeFor[WarmLine](), "One JSON object for each line: some while it goes on, and at last the image"),
	}, s.warm)
	register(s, api, huma.Operation{
		OperationID: "drill", Method: http.MethodPost, Path: "/api/v1/drill", Tags: []string{"repositories"},
		Summary: "Treat upstreams as gone, and tell what could not be pulled", Errors: []int{http.StatusForbidden},
		Responses: answers(reflect.TypeFor[DrillLine](), "One JSON object for each line: an image and what is missing of it, and at last that all were looked at"),
	}, s.drill)
}

// pullableImage finds an image that the caller may pull, as far as roles decide: what an
// upstream shows to whom its cache decides. What does not exist and what may not be pulled
// are one answer.
func (s *service) pullableImage(ctx context.Context, decide authz.Decide, who caller, image string) (warm.Target, error) {
	target, err := s.Warmer.Find(ctx, image)
	if err != nil {
		return warm.Target{}, err
	}
	may := false
	if target.Kind != "" {
		if may, err = decide(ctx, who.Identity, authz.Pull, repositoryTarget(target.Repository, target.Kind)); err != nil {
			return warm.Target{}, err
		}
	}
	if !may {
		return warm.Target{}, notPullable(target)
	}
	return target, nil
}

// shownImage is pullableImage for what is told without asking a cache.
func (s *service) shownImage(ctx context.Context, decide authz.Decide, who caller, image string) (warm.Target, error) {
	target, err := s.pullableImage(ctx, decide, who, image)
	if err != nil {
		return warm.Target{}, err
	}
	shows, err := s.shows(ctx, who, repositoryTarget(target.Repository, target.Kind))
	if err != nil {
		return warm.Target{}, err
	}
	if !shows {
		return warm.Target{}, notPullable(target)
	}
	return target, nil
}

func notPullable(target warm.Target) error {
	return &oci.Error{Code: oci.CodeNameUnknown, Message: "repository " + target.Repository.String() + " does not exist or you may not pull it"}
}

func (who caller) asks() oci.Caller {
	asks := who.Caller()
	asks.Client = oci.ClientOf(who.from)
	return asks
}

func (s *service) warm(ctx context.Context, who caller, in *warmInput) (*huma.StreamResponse, error) {
	target, err := s.pullableImage(ctx, s.Authorizer.Allowed, who, in.Body.Image)
	if err != nil {
		return nil, err
	}
	payer := who.asks() // as in a pull
	payer.Projects, payer.Shares = authz.Memberships(ctx, s.Authorizer.Allowed, who.Identity, target.Images)
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		out := newLines(w, WarmLine{Working: true})
		defer out.end()
		fetch := s.Warmer.Warm
		if in.Body.DryRun {
			fetch = s.Warmer.Price
		}
		cost, err := fetch(r.Context(), target, payer, in.Body.Platforms)
		if err != nil {
			_ = out.write(WarmLine{Error: s.told(r.Context(), "warm-image", err)}) // whoever has gone needs none
			return
		}
		_ = out.write(WarmLine{Warmed: &Warmed{
			Image: target.String(), Digest: cost.Digest.String(), Pulls: cost.Pulls, Blobs: cost.Blobs, Bytes: cost.Bytes, Unknown: cost.Unknown,
		}})
	}}, nil
}

// told is an error in the words for clients.
func (s *service) told(ctx context.Context, operation string, err error) string {
	if refusal, ok := errors.AsType[*oci.Error](err); ok && refusal.Code != oci.CodeUnknown {
		return refusal.Message
	}
	return s.fault(ctx, operation, err).Detail
}

func (s *service) drill(ctx context.Context, who caller, in *drillInput) (*huma.StreamResponse, error) {
	images, left, err := s.drilled(ctx, who, in.Body)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		out := newLines(w, DrillLine{Working: true})
		defer out.end()
		decide := s.Authorizer.ForMany()
		for _, image := range images {
			if out.write(s.drillOne(r.Context(), decide, who, image, in.Body.Platforms)) != nil {
				return
			}
		}
		last := DrillLine{Done: true, Left: left}
		if left {
			last.Error = leftOut(len(images))
		}
		_ = out.write(last)
	}}, nil
}

// leftOut says what to do about the images that a drill has not looked at.
func leftOut(looked int) string {
	return fmt.Sprintf("there are more images than the %d that were looked at, which is as many as one drill takes: ask for those that were pulled in a shorter time, or name them, of which there may be any number", looked)
}

// drilled lists the images that a drill is about; left tells that there are more.
func (s *service) drilled(ctx context.Context, who caller, asked DrillRequest) (images []string, left bool, err error) {
	images = asked.Images
	if asked.Pins {
		pins, err := s.listPins(ctx, who, &listPinsInput{})
		if err != nil {
			return nil, false, err
		}
		left = pins.Body.More
		for _, p := range pins.Body.Items {
			images = append(images, image(metadata.Pin{Repository: p.Project + "/" + p.Repository, Tag: p.Tag, Digest: digest.Digest(p.Digest)}))
		}
	}
	if !asked.Since.IsZero() {
		if err := s.permit(ctx, who, authz.GetLedger, authz.Target{}); err != nil {
			return nil, false, err
		}
		pulled, err := s.Pulled.PulledSince(ctx, asked.Since, maxDrilled+1)
		if err != nil {
			return nil, false, err
		}
		for _, p := range pulled {
			images = append(images, image(metadata.Pin{Repository: p.Repository, Tag: p.Tag, Digest: p.Digest}))
		}
	}
	return images[:min(len(images), maxDrilled)], left || len(images) > maxDrilled, nil
}

func (s *service) drillOne(ctx context.Context, decide authz.Decide, who caller, image string, platforms []string) DrillLine {
	target, err := s.shownImage(ctx, decide, who, image)
	if oci.CodeOf(err) == oci.CodeNameUnknown {
		return DrillLine{Image: image, Missing: []warm.Missing{{Kind: "repository"}}}
	}
	if err != nil {
		return DrillLine{Image: image, Error: s.told(ctx, "drill", err)}
	}
	missing, err := s.Warmer.Drill(ctx, target, who.asks(), platforms)
	if err != nil {
		return DrillLine{Image: target.String(), Error: s.told(ctx, "drill", err)}
	}
	return DrillLine{Image: target.String(), Missing: missing}
}
