package distribution

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/larder-registry/larder/internal/oci"
)

// chunk is where a part of an upload says that it belongs.
type chunk struct {
	start  int64
	length int64 // bytes
}

// parseContentRange reads `<start>-<end>`, both inclusive (OCI Distribution 1.1,
// §Pushing a blob in chunks). The error is RANGE_INVALID.
func parseContentRange(s string) (chunk, error) {
	first, last, ok := strings.Cut(s, "-")
	start, startErr := parsePosition(first)
	end, endErr := parsePosition(last)
	if !ok || startErr != nil || endErr != nil || end < start {
		return chunk{}, &oci.Error{
			Code:    oci.CodeRangeInvalid,
			Message: fmt.Sprintf("Content-Range %.80q cannot be read: write the chunk's first and last byte as in 0-1023", s),
		}
	}
	return chunk{start: start, length: end - start + 1}, nil
}

// parsePosition accepts digits alone: no sign, no space.
func parsePosition(s string) (int64, error) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseInt(s, 10, 63)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// requestChunk is the part of an upload that a request brings: its start, nil for
// wherever the upload is, and its bytes.
func requestChunk(r *http.Request) (start *int64, body io.Reader, err error) {
	header := r.Header.Get("Content-Range")
	if header == "" {
		return nil, announced(r), nil
	}
	c, err := parseContentRange(header)
	if err != nil {
		return nil, nil, err
	}
	if r.ContentLength >= 0 && r.ContentLength != c.length {
		return nil, nil, &oci.Error{
			Code:    oci.CodeSizeInvalid,
			Message: fmt.Sprintf("Content-Range %s means %d bytes, but Content-Length is %d", header, c.length, r.ContentLength),
		}
	}
	return &c.start, &exactReader{Reader: r.Body, left: c.length}, nil
}

// announced is a request's body; where its length is known, one that tells what is left.
func announced(r *http.Request) io.Reader {
	if r.ContentLength < 0 {
		return r.Body
	}
	return &announcedReader{Reader: r.Body, left: r.ContentLength}
}

type announcedReader struct {
	io.Reader
	left int64
}

func (a *announcedReader) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	a.left -= int64(n)
	return n, err
}

// Left is how many bytes are still to come.
func (a *announcedReader) Left() int64 { return a.left }

// exactReader fails when a body has more or fewer bytes than its Content-Range says.
type exactReader struct {
	io.Reader
	left int64
}

// Left is how many bytes are still to come.
func (e *exactReader) Left() int64 { return e.left }

func (e *exactReader) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	e.left -= int64(n)
	if e.left < 0 || (errors.Is(err, io.EOF) && e.left > 0) {
		n = max(0, n+int(min(e.left, 0)))
		return n, &oci.Error{Code: oci.CodeSizeInvalid, Message: "the chunk has not as many bytes as its Content-Range says"}
	}
	return n, err
}
