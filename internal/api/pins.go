package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Pins keeps images that stay whatever happens.
type Pins interface {
	Set(ctx context.Context, p metadata.Pin) error
	Delete(ctx context.Context, p metadata.Pin) error
	List(ctx context.Context, limit int) ([]metadata.Pin, error)
}

// maxPinsListed is how many pins are listed; there may be more where clusters run more.
const maxPinsListed = 2 * metadata.MaxPins

// byHand is why an image is pinned that a person has pinned.
const byHand = "by hand"

// Pin keeps an image: neither eviction nor the rules of retention remove it.
type Pin struct {
	Project    string    `json:"project"`
	Repository string    `json:"repository" doc:"Without the project"`
	Tag        string    `json:"tag,omitempty" doc:"Whatever image it names is pinned, now and later"`
	Digest     string    `json:"digest,omitempty" doc:"Of the image, where no tag is pinned"`
	Reason     string    `json:"reason" example:"by hand"`
	Actor      string    `json:"actor,omitempty"`
	CreatedAt  time.Time `json:"createdAt"`
	// Until is told of images that run in a cluster.
	Until *time.Time `json:"until,omitempty" doc:"When it ends by itself: of an image that runs in a cluster, unless it is seen again"`
}

// PinList is all pins of repositories that the caller may see.
type PinList struct {
	Items []Pin `json:"items"`
	More  bool  `json:"more,omitempty" doc:"There are further pins, which are not listed"`
}

type pinInput struct {
	Credentials
	RepositoryPath
	Reference string `path:"reference" maxLength:"200" doc:"A tag or a digest"`
}

type pinOutput struct{ Body Pin }

type listPinsInput struct {
	Credentials
	Project string `query:"project" doc:"Only those of one project"`
}

type listPinsOutput struct{ Body PinList }

func (s *service) registerPins(api huma.API) {
	const path = "/api/v1/projects/{project}/repositories/{repository}/pins/{reference}"
	tags := []string{"repositories"}
	register(s, api, huma.Operation{
		OperationID: "pin-image", Method: http.MethodPut, Path: path, Tags: tags,
		Summary: "Keep an image, whatever happens", Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.pin)
	register(s, api, huma.Operation{
		OperationID: "unpin-image", Method: http.MethodDelete, Path: path, Tags: tags,
		Summary: "Let an image go when its time comes", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound},
	}, s.unpin)
	register(s, api, huma.Operation{
		OperationID: "list-pins", Method: http.MethodGet, Path: "/api/v1/pins", Tags: tags,
		Summary: "List what is pinned", Description: "There are 10,000 pins by hand at most, and as many images that run in a cluster.",
	}, s.listPins)
}

// pinOf finds the repository of a pin, which the caller may change.
func (s *service) pinOf(ctx context.Context, who caller, in *pinInput) (metadata.Pin, error) {
	r, target, err := s.visibleRepository(ctx, who, in.RepositoryPath)
	if err != nil {
		return metadata.Pin{}, err
	}
	if err := s.permit(ctx, who, authz.UpdateRepository, target); err != nil {
		return metadata.Pin{}, err
	}
	reference, err := oci.ParseReference(in.Reference)
	if err != nil {
		return metadata.Pin{}, problem(http.StatusBadRequest, err.Error())
	}
	return metadata.Pin{Repository: r.Name, Tag: reference.Tag, Digest: reference.Digest, Reason: byHand, Actor: who.User, CreatedAt: s.Now()}, nil
}

func (s *service) pin(ctx context.Context, who caller, in *pinInput) (*pinOutput, error) {
	p, err := s.pinOf(ctx, who, in)
	if err != nil {
		return nil, err
	}
	err = s.Pins.Set(ctx, p)
	switch {
	case errors.Is(err, metadata.ErrNotFound):
		return nil, problem(http.StatusNotFound, fmt.Sprintf("%s was not pinned: the registry does not have it; larder warm fetches it", image(p)))
	case errors.Is(err, metadata.ErrFull):
		return nil, problem(http.StatusConflict, fmt.Sprintf("%s was not pinned: there are %d pins already, which is the most; larder unpin takes one away", image(p), metadata.MaxPins))
	case err != nil:
		return nil, err
	}
	return &pinOutput{Body: pinShown(p)}, nil
}

func (s *service) unpin(ctx context.Context, who caller, in *pinInput) (*struct{}, error) {
	p, err := s.pinOf(ctx, who, in)
	if err != nil {
		return nil, err
	}
	err = s.Pins.Delete(ctx, p)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("%s is not pinned: larder get pins lists what is", image(p)))
	}
	return nil, err
}

func (s *service) listPins(ctx context.Context, who caller, in *listPinsInput) (*listPinsOutput, error) {
	all, err := s.Pins.List(ctx, maxPinsListed+1)
	if err != nil {
		return nil, err
	}
	out := &listPinsOutput{Body: PinList{Items: []Pin{}, More: len(all) > maxPinsListed}}
	all = all[:min(len(all), maxPinsListed)]
	decide := s.Authorizer.ForMany()
	for _, p := range all {
		repo := oci.Repository(p.Repository)
		if in.Project != "" && repo.Project() != in.Project {
			continue
		}
		_, may, err := s.pulls(ctx, decide, who, repo)
		if errors.Is(err, authz.ErrSpent) {
			out.Body.More = true
			break
		}
		if err != nil {
			return nil, err
		}
		if may {
			out.Body.Items = append(out.Body.Items, pinShown(p))
		}
	}
	return out, nil
}

func pinShown(p metadata.Pin) Pin {
	project, repository, _ := strings.Cut(p.Repository, "/")
	return Pin{Project: project, Repository: repository, Tag: p.Tag, Digest: p.Digest.String(), Reason: p.Reason, Actor: p.Actor, CreatedAt: p.CreatedAt, Until: known(p.Until)}
}

// image is what is pinned as images are written.
func image(p metadata.Pin) string {
	if p.Tag != "" {
		return p.Repository + ":" + p.Tag
	}
	return p.Repository + "@" + p.Digest.String()
}
