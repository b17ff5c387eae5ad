package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// dumpPatience bounds the wait for a dump to begin: the server makes all of it first.
	dumpPatience = 30 * time.Minute
	// streamPatience bounds how long nothing may come of what is being sent.
	streamPatience = 2 * time.Minute
	// holdPatience bounds the wait for blobs not to be removed any more.
	holdPatience = 30 * time.Minute
	holdsPath    = "/api/v1/backup/holds"
)

// errStalled ends a transfer of which nothing comes any more.
var errStalled = fmt.Errorf("nothing came for %s", streamPatience)

// backupClient reads what a backup is made of from a server.
type backupClient struct {
	*client
	streams *http.Client
}

// newBackupClient makes a client whose answers may take as long as they grow.
func newBackupClient(c *client) *backupClient {
	streams := *c.http
	streams.Timeout = 0
	if t, ok := c.http.Transport.(*http.Transport); ok {
		lasting := t.Clone()
		lasting.DisableKeepAlives = false
		lasting.ResponseHeaderTimeout = dumpPatience
		streams.Transport = lasting
	}
	return &backupClient{client: c, streams: &streams}
}

func (c *backupClient) close() { c.streams.CloseIdleConnections() }

// dump copies the server's metadata to w.
func (c *backupClient) dump(ctx context.Context, w io.Writer) error {
	body, err := c.get(ctx, "/api/v1/backup/metadata")
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("reading the metadata of %s: %w", c.server, err)
	}
	return nil
}

// Open is that of a backup.Source.
func (c *backupClient) Open(ctx context.Context, b metadata.Blob) (io.ReadCloser, error) {
	body, err := c.get(ctx, "/api/v1/backup/blobs/"+b.Digest.String())
	if refused, ok := errors.AsType[*answerError](err); ok && refused.status == http.StatusNotFound {
		return nil, fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	return body, err
}

// get begins to read a stream.
func (c *backupClient) get(ctx context.Context, path string) (io.ReadCloser, error) {
	ctx, end := context.WithCancelCause(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+path, nil)
	if err != nil {
		end(nil)
		return nil, fmt.Errorf("making the request: %w", err)
	}
	r.Header.Set("User-Agent", "larder/"+version)
	c.authorize(r)
	response, err := c.streams.Do(r)
	if err != nil {
		end(nil)
		return nil, c.unreachable(err)
	}
	if response.StatusCode == http.StatusOK {
		return &stream{ctx: ctx, body: response.Body, end: end, stalled: time.AfterFunc(streamPatience, func() { end(errStalled) })}, nil
	}
	defer end(nil)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", c.server, err)
	}
	if err := c.read(response, content, nil); err != nil {
		return nil, err
	}
	return nil, c.stranger(response, content)
}

// stream is an answer's body that ends when nothing comes for too long.
type stream struct {
	ctx     context.Context // of the request
	body    io.ReadCloser
	end     context.CancelCauseFunc
	stalled *time.Timer
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	s.stalled.Reset(streamPatience)
	if cause := context.Cause(s.ctx); err != nil && cause != nil {
		err = cause
	}
	return n, err
}

func (s *stream) Close() error {
	s.stalled.Stop()
	defer s.end(nil)
	return s.body.Close()
}

// holding runs fn while blobs are held: none is removed until it ends.
func (c *backupClient) holding(cmd *cobra.Command, fn func(context.Context) error) error {
	hold, err := c.hold(cmd)
	if err != nil {
		return err
	}
	life := time.Duration(hold.ExpiresSeconds) * time.Second
	ctx, lose := context.WithCancelCause(cmd.Context())
	var renewing sync.WaitGroup
	renewing.Go(func() { lose(c.renew(ctx, hold.ID, life)) })
	err = fn(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	lose(nil)
	renewing.Wait()
	released := c.call(context.WithoutCancel(cmd.Context()), http.MethodDelete, holdsPath+"/"+hold.ID, nil, nil)
	if released != nil {
		warn(cmd, "the hold on the blobs was not released and ends by itself in %s: %v", life, released)
	}
	return err
}

// hold waits until blobs can be held.
func (c *backupClient) hold(cmd *cobra.Command) (api.Hold, error) {
	ctx, end := context.WithTimeout(cmd.Context(), holdPatience)
	defer end()
	told := false
	for {
		var hold api.Hold
		err := c.call(ctx, http.MethodPost, holdsPath, nil, &hold)
		refused, ok := errors.AsType[*answerError](err)
		if !ok || refused.status != http.StatusConflict {
			return hold, err
		}
		if !told {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "waiting: %s\n", refused.detail)
			told = true
		}
		if sleep.For(ctx, time.Second) != nil {
			return hold, fmt.Errorf("waiting to hold the blobs: %w", err)
		}
	}
}

// renew prolongs a hold until ctx ends or the hold is lost.
func (c *backupClient) renew(ctx context.Context, id string, life time.Duration) error {
	pause := life / 4
	tick := time.NewTicker(pause)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		began := time.Now()
		err := c.call(ctx, http.MethodPut, holdsPath+"/"+id, nil, nil)
		_, refused := errors.AsType[*answerError](err)
		switch {
		case err == nil:
			renewed = began
		case ctx.Err() != nil:
			return nil
		case refused || time.Since(renewed) > life-pause:
			return fmt.Errorf("the hold on the blobs was lost: %w", err)
		}
	}
}
