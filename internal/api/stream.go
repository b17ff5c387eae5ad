package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	// streamStall is how long a client may take nothing of a stream.
	streamStall = 2 * time.Minute
	// streamPiece is how much is sent with one deadline, in bytes.
	streamPiece = 1 << 20
)

// spoolDump dumps the metadata into a file without a name, so that the database does
// not hold the moment for as long as the client takes.
func (s *service) spoolDump(ctx context.Context) (_ *os.File, size int64, err error) {
	file, err := os.CreateTemp(s.SpoolDir, "dump-*")
	if err == nil {
		err = os.Remove(file.Name())
	}
	if err == nil {
		err = s.Backups.Dump(ctx, file)
	}
	if err == nil {
		size, err = file.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	switch {
	case err == nil:
		return file, size, nil
	case file != nil:
		err = errors.Join(err, file.Close())
	}
	if errors.Is(err, syscall.ENOSPC) {
		return nil, 0, problem(http.StatusInsufficientStorage, "the metadata was not dumped: the disk of the registry's data folder is full; make space there and try again")
	}
	return nil, 0, fmt.Errorf("spooling a dump: %w", err)
}

// stream sends content, which it closes, for as long as the client takes some of it.
// What breaks off is cut, so that nobody takes it for whole.
func (s *service) stream(mediaType string, content io.ReadCloser, size int64) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer func() { _ = content.Close() }()
		c.SetHeader("Content-Type", mediaType)
		c.SetHeader("Content-Length", strconv.FormatInt(size, 10))
		_, w := humago.Unwrap(c)
		control := http.NewResponseController(w)
		for left := size; left > 0; {
			_ = control.SetWriteDeadline(time.Now().Add(streamStall)) // a writer without deadlines, as in tests, has no stall either
			n, err := io.CopyN(w, content, min(left, streamPiece))
			left -= n
			if err != nil {
				s.Log.WarnContext(c.Context(), "a stream was cut off", "sent", size-left, "size", size, "error", err)
				panic(http.ErrAbortHandler)
			}
		}
	}}
}
