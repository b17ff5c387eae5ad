package telemetry

import "net/http"

// Record is what the handlers of one request add to its log line and metrics.
// It is used by the goroutine that serves the request.
type Record struct {
	// Route is the class of the request, such as "manifest" or "blob": one of a
	// few constants, since it becomes a label.
	Route string
	// User is who the caller is, "" for a stranger.
	User string
	// ErrorCode is the code that the answer carries, such as MANIFEST_UNKNOWN.
	ErrorCode string
	// Cause is what went wrong, for the log only.
	Cause error
}

// RecordOf returns the record of the request that w answers. It looks through
// writers that wrap Middleware's own and have a method Unwrap, as
// http.ResponseController does. Without Middleware it returns a record that
// nobody reads.
func RecordOf(w http.ResponseWriter) *Record {
	for {
		switch outer := w.(type) {
		case *response:
			return &outer.record
		case interface{ Unwrap() http.ResponseWriter }:
			w = outer.Unwrap()
		default:
			return &Record{}
		}
	}
}
