package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/registry"
)

// FsckLine is one line of the answer to a check.
type FsckLine struct {
	registry.FsckEvent
	Error string `json:"error,omitempty"` // why the check has ended early
}

type fsckInput struct {
	Credentials
	OlderThan string `query:"olderThan" doc:"Leave out blobs that were verified less long ago" example:"168h"`
	Bandwidth int64  `query:"bandwidth" minimum:"0" doc:"Read blobs no faster than this, in bytes a second"`
	Repair    bool   `query:"repair" doc:"Fetch damaged blobs of caches anew at once, and look again at those that were set aside"`
}

func (s *service) registerFsck(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "fsck", Method: http.MethodPost, Path: "/api/v1/fsck", Tags: []string{"storage"},
		Summary:     "Verify every blob and every link",
		Description: "The answer is a line of JSON for each finding, and some for the progress between them; the last says that the check is done, or why it ended.",
		Errors:      []int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict},
	}, s.fsck)
}

func (s *service) fsck(ctx context.Context, who caller, in *fsckInput) (*huma.StreamResponse, error) {
	if err := s.permit(ctx, who, authz.Verify, authz.Target{}); err != nil {
		return nil, err
	}
	check := registry.Fsck{Bandwidth: in.Bandwidth, Repair: in.Repair}
	if in.OlderThan != "" {
		var err error
		if check.OlderThan, err = time.ParseDuration(in.OlderThan); err != nil || check.OlderThan < 0 {
			return nil, problem(http.StatusBadRequest, fmt.Sprintf("olderThan %.40q is no time such as 168h", in.OlderThan))
		}
	}
	if !s.checking.TryLock() {
		return nil, problem(http.StatusConflict, "another check is running: wait for its end")
	}
	return &huma.StreamResponse{Body: func(stream huma.Context) {
		defer s.checking.Unlock()
		s.streamFsck(stream, check)
	}}, nil
}

// streamFsck runs a check for as long as its client listens.
func (s *service) streamFsck(stream huma.Context, check registry.Fsck) {
	r, w := humago.Unwrap(stream)
	stream.SetHeader("Content-Type", linesType)
	control, lines := http.NewResponseController(w), json.NewEncoder(w)
	tell := func(line FsckLine) error {
		_ = control.SetWriteDeadline(time.Now().Add(linesStall)) // a writer without deadlines has no stall either
		if err := lines.Encode(line); err != nil {
			return fmt.Errorf("telling of the check: %w", err)
		}
		_ = control.Flush()
		return nil
	}
	check.Tell = func(e registry.FsckEvent) error { return tell(FsckLine{FsckEvent: e}) }
	if err := s.Checker.Fsck(r.Context(), check); err != nil && r.Context().Err() == nil {
		s.Log.ErrorContext(r.Context(), "a check failed", "error", err)
		_ = tell(FsckLine{Error: "the check ended early for a reason that lies in the registry: its log tells more"})
	}
}
