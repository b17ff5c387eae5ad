package upstream

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// refusal is the error for an answer other than success. It reads what the answer
// says and closes it.
func (r *Registry) refusal(a *account, counted bool, what string, got *answer) error {
	body := errorText(got.Response)
	status := got.StatusCode
	if status == http.StatusTooManyRequests && !got.foreign {
		return r.limited(a, counted, what, got.Header, body)
	}
	failure := &Error{
		Kind: Invalid, Status: status, Upstream: r.config.Name, Credential: a.name,
		RetryAfter: parseRetryAfter(got.Header.Get("Retry-After"), r.config.Now()),
		Message:    fmt.Sprintf("%s: the upstream answered %d%s", what, status, detail(body)),
	}
	switch {
	case status == http.StatusNotFound:
		failure.Kind = NotFound
		failure.Message = fmt.Sprintf("%s: it does not exist there%s", what, detail(body))
	case status >= http.StatusInternalServerError:
		failure.Kind = Unavailable
	case got.foreign && (status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusTooManyRequests):
		// A blob store whose link ran out, or that has too much to do.
		failure.Kind = Unavailable
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		failure.Kind = Denied
		failure.Message = fmt.Sprintf("%s: the repository does not exist or %s may not read it (%d%s)", what, a.called(), status, detail(body))
	}
	return failure
}

// called names an account in an error text.
func (a *account) called() string {
	if a.anonymous() {
		return "whoever has no credential"
	}
	return "the credential of " + a.name
}

// detail is the text of an error body (OCI Distribution 1.1, §Error codes), as the
// end of a sentence. Pages for people are left out.
func detail(body []byte) string {
	var said struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &said) != nil || len(said.Errors) == 0 {
		return ""
	}
	return ": " + excerpt(said.Errors[0].Code+": "+said.Errors[0].Message)
}
