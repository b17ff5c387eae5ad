package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// maxReadme bounds the long description in a payload, in bytes.
const maxReadme = 16 << 10

// payload is what a webhook is sent. That of a push is Docker Hub's, and has the digest
// beside it.
type payload struct {
	CallbackURL string        `json:"callback_url"`
	PushData    *pushData     `json:"push_data,omitempty"`
	EventData   *eventData    `json:"event_data,omitempty"`
	Repository  *repositoryOf `json:"repository,omitempty"`
}

type pushData struct {
	PushedAt int64  `json:"pushed_at"`
	Pusher   string `json:"pusher"`
	Tag      string `json:"tag"`
	Digest   string `json:"digest"`
}

// eventData is what has happened, where it was no push.
type eventData struct {
	Event   string `json:"event"`
	At      int64  `json:"at"`
	Project string `json:"project"`
	Actor   string `json:"actor,omitempty"`
	Tag     string `json:"tag,omitempty"`
	Digest  string `json:"digest,omitempty"`
	Message string `json:"message,omitempty"`
}

// repositoryOf is a repository as Docker Hub describes it.
type repositoryOf struct {
	CommentCount    int    `json:"comment_count"`
	DateCreated     int64  `json:"date_created"`
	Description     string `json:"description"`
	Dockerfile      string `json:"dockerfile"`
	FullDescription string `json:"full_description"`
	IsOfficial      bool   `json:"is_official"`
	IsPrivate       bool   `json:"is_private"`
	IsTrusted       bool   `json:"is_trusted"`
	Name            string `json:"name"`
	Namespace       string `json:"namespace"`
	Owner           string `json:"owner"`
	RepoName        string `json:"repo_name"`
	RepoURL         string `json:"repo_url"`
	StarCount       int    `json:"star_count"`
	Status          string `json:"status"`
}

// payload writes what a delivery sends.
func (h *Hooks) payload(ctx context.Context, d metadata.Delivery) ([]byte, error) {
	var p payload
	if d.Repository != "" {
		repository, err := h.describe(ctx, d.Repository)
		if err != nil {
			return nil, err
		}
		p.Repository = &repository
	}
	if d.Kind == metadata.EventPush {
		p.PushData = &pushData{PushedAt: d.At.Unix(), Pusher: d.Actor, Tag: d.Tag, Digest: d.Digest.String()}
	} else {
		p.EventData = &eventData{
			Event: d.Kind, At: d.At.Unix(), Project: d.Project, Actor: d.Actor, Tag: d.Tag, Digest: d.Digest.String(), Message: d.Detail,
		}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("writing the payload: %w", err)
	}
	return text, nil
}

// describe tells what there is to tell of a repository now: it may be gone.
func (h *Hooks) describe(ctx context.Context, name string) (repositoryOf, error) {
	repo := oci.Repository(name)
	described := repositoryOf{
		IsPrivate: true, Name: repo.Rest(), Namespace: repo.Project(), RepoName: name, RepoURL: h.config.RepositoryURL(repo), Status: "Active",
	}
	found, err := h.config.Repositories.Get(ctx, name)
	if errors.Is(err, metadata.ErrNotFound) {
		return described, nil
	}
	if err != nil {
		return repositoryOf{}, err
	}
	project, err := h.config.Projects.Get(ctx, repo.Project())
	if err != nil {
		return repositoryOf{}, err
	}
	public, err := h.config.Public(ctx, name)
	if err != nil {
		return repositoryOf{}, err
	}
	readme := found.Readme
	if len(readme) > maxReadme {
		readme = strings.ToValidUTF8(readme[:maxReadme], "")
	}
	described.DateCreated, described.Description, described.FullDescription = found.CreatedAt.Unix(), found.Description, readme
	described.StarCount, described.Owner, described.IsPrivate = found.Stars, project.Creator, !public
	return described, nil
}
