package failures

import (
	"context"
	"errors"
	"net/http"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// Caused is a failure of which only that is known which its error tells: what decided it,
// and what the upstream had to do with it.
func Caused(err error) metadata.Failure {
	f := metadata.Failure{Rule: string(rule(err))}
	if failure, ok := errors.AsType[*upstream.Error](err); ok {
		f.Credential, f.UpstreamKind, f.UpstreamStatus, f.UpstreamText = failure.Credential, failure.Kind.String(), failure.Status, failure.Plain()
	}
	return f
}

// fillFailed tells whether a pull was refused that would have been served if the upstream, or
// the registry itself, had done its part. That there is no such image is no such thing.
func fillFailed(f metadata.Failure) bool {
	switch oci.Rule(f.Rule) {
	case oci.RulePatience, oci.RuleUpstream, oci.RuleRegistry:
		return f.Status >= http.StatusInternalServerError || f.Status == http.StatusTooManyRequests
	}
	return false
}

func rule(err error) oci.Rule {
	refusal, ok := errors.AsType[*oci.Error](err)
	held := upstream.HeldOf(err)
	switch {
	case held != nil && held.Project != "":
		return oci.RuleBudget
	case held != nil:
		return oci.RuleReserve
	case ok && refusal.Rule != "":
		return refusal.Rule
	case upstream.KindOf(err) != 0:
		return oci.RuleUpstream
	case errors.Is(err, context.DeadlineExceeded):
		return oci.RulePatience
	}
	return oci.RuleRegistry
}
