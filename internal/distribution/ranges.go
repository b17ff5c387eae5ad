package distribution

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/larder-registry/larder/internal/oci"
)

const unitBytes = "bytes"

// checkRange leaves in the request's Range only what http.ServeContent answers as RFC
// 9110, §14 wants it. Other units are ignored, and so is any range of content that is
// empty or, with a size of -1, of unknown length. The error is RANGE_INVALID when the
// request asks for nothing that is there. The headers of the content must be set.
func checkRange(x *exchange, size int64) error {
	unit, set, _ := strings.Cut(x.r.Header.Get("Range"), "=")
	if !strings.EqualFold(unit, unitBytes) || size <= 0 {
		x.r.Header.Del("Range")
		return nil
	}
	asked := unitBytes + "=" + withoutEmptySuffixes(set, size)
	x.r.Header.Set("Range", asked)
	if statusOfHead(x, size) != http.StatusRequestedRangeNotSatisfiable {
		return nil
	}
	x.w.Header().Set("Content-Range", fmt.Sprintf("%s */%d", unitBytes, size))
	return &oci.Error{
		Code:    oci.CodeRangeInvalid,
		Message: fmt.Sprintf("Range %.80q asks for nothing that is there: the content has %d bytes, the first of them is 0", asked, size),
	}
}

// withoutEmptySuffixes replaces each "last 0 bytes", which no content satisfies (RFC
// 9110, §14.1.2), by a range behind the end: http.ServeContent would send it.
func withoutEmptySuffixes(set string, size int64) string {
	ranges := strings.Split(set, ",")
	for i, r := range ranges {
		suffix, isSuffix := strings.CutPrefix(strings.TrimSpace(r), "-")
		if length, err := strconv.ParseInt(strings.TrimSpace(suffix), 10, 64); isSuffix && err == nil && length == 0 {
			ranges[i] = strconv.FormatInt(size, 10) + "-"
		}
	}
	return strings.Join(ranges, ",")
}

// statusOfHead tells which status http.ServeContent has for the request's conditions
// and ranges, in their order of precedence (RFC 9110, §13.2.2), and sends nothing.
func statusOfHead(x *exchange, size int64) int {
	head := x.r.Clone(x.r.Context())
	head.Method = http.MethodHead
	trial := &trialWriter{header: x.w.Header().Clone()}
	serveContent(trial, head, io.NewSectionReader(noBytes{}, 0, size))
	return trial.status
}

// trialWriter keeps the status of an answer that is not sent.
type trialWriter struct {
	header http.Header
	status int
}

func (w *trialWriter) Header() http.Header         { return w.header }
func (w *trialWriter) WriteHeader(status int)      { w.status = status }
func (w *trialWriter) Write(p []byte) (int, error) { return len(p), nil }
