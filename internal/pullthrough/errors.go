package pullthrough

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// question is what was asked of an upstream. Strangers' questions are kept apart: what
// they are not shown may well be there for a credential.
type question struct {
	as         upstream.Auth
	repository oci.Repository
	// audience is whose credentials were to be used, where not all that are the caller's.
	audience string
	// reference is a tag, a manifest's digest, or words for something else, such as
	// blobReference and a blob's digest.
	reference string
}

const (
	// blobReference begins a reference that is a blob's digest.
	blobReference = "blob "
	// tagsReference stands for the list of a repository's tags.
	tagsReference = "its tags"
)

// notFound is an upstream's answer that something does not exist, and when it said so.
type notFound struct {
	refusal error
	at      time.Time
}

// refused turns an upstream's refusal into what the client is told: an error of the
// same class that names what was looked up where. A not-found is remembered.
func (c *Cache) refused(asked question, err error) error {
	failure, ok := errors.AsType[*upstream.Error](err)
	if !ok {
		return err
	}
	refusal := c.describe(asked, failure)
	if failure.Kind == upstream.NotFound || failure.Kind == upstream.Denied {
		c.notFound.Set(asked, notFound{refusal, c.Now()})
	}
	return refusal
}

// rememberedNotFound is the upstream's recent not-found for the same question.
func (c *Cache) rememberedNotFound(asked question) error {
	if last, ok := c.notFound.GetIfPresent(asked); ok && within(c.Now(), last.at, notFoundLife) {
		return remembered(last.refusal)
	}
	return nil
}

// remembered is an upstream's refusal for those who come after whoever met it.
func remembered(err error) error {
	refusal, ok := errors.AsType[*oci.Error](err)
	if !ok {
		return err
	}
	again := *refusal
	again.Rule = oci.RuleRemembered
	return &again
}

func (c *Cache) describe(asked question, failure *upstream.Error) error {
	what := fmt.Sprintf("%s (%s)", asked.repository.Rest(), asked.reference)
	answer := func(code oci.Code, format string, args ...any) error {
		return &oci.Error{Code: code, Message: fmt.Sprintf(format, args...), RetryAfter: failure.RetryAfter, Err: failure}
	}
	switch failure.Kind {
	case upstream.NotFound:
		return answer(oci.CodeManifestUnknown, "%s does not have %s", c.Title, what)
	case upstream.Denied:
		return answer(oci.CodeManifestUnknown, "%s does not have %s, or it is private and no credential of upstream %s may read it", c.Title, what, c.Project)
	case upstream.CredentialRefused:
		return answer(oci.CodeUpstreamInvalid, "%s refused every credential that is configured for upstream %s, and does not show %s to strangers: the operator has to correct the credentials", c.Title, c.Project, what)
	case upstream.Blocked:
		return answer(oci.CodeUpstreamInvalid, "%s wants the credentials of upstream %s sent to a host that is not its own, which was not done, and it does not show %s to strangers: the operator can list that host under realms. %s", c.Title, c.Project, what, failure.Message)
	case upstream.PullLimit:
		return answer(oci.CodeTooManyRequests, "You have reached your pull rate limit, %s's, upstream of project %s: %s is not in the cache. Try again later, or have the operator of this registry add credentials for the upstream", c.Title, c.Project, what)
	case upstream.Reserved, upstream.OverBudget:
		return answer(oci.CodeTooManyRequests, "%s", c.heldBack(what, failure))
	case upstream.AbuseLimit:
		return answer(oci.CodeTooManyRequests, "%s is refusing all requests of this registry for a while (its overall request limit, upstream of project %s), and %s is not in the cache: try again later", c.Title, c.Project, what)
	case upstream.Timeout:
		return answer(oci.CodeUpstreamTimeout, "%s did not answer in time for %s, and it is not in the cache: try again, or see the registry's log", c.Title, what)
	case upstream.Invalid:
		return answer(oci.CodeUpstreamInvalid, "%s answered for %s with something that cannot be used: %s", c.Title, what, came(failure))
	}
	return answer(oci.CodeUpstreamDown, "%s cannot be reached or is failing, and %s is not in the cache: %s. Try again later", c.Title, what, matter(failure))
}

// matter is the innermost cause of a failure in its own words.
func matter(failure *upstream.Error) string { return cmp.Or(failure.Cause(), failure.Message) }

// came says what an upstream answered that cannot be used. Where a cause tells, the
// message tells only what was being read.
func came(failure *upstream.Error) string {
	if failure.Err == nil {
		return failure.Message
	}
	return failure.Message + ": " + matter(failure)
}

// trouble says in a few words why a freshness check failed.
func (c *Cache) trouble(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return c.Title + " did not answer in time"
	}
	failure, ok := errors.AsType[*upstream.Error](err)
	if !ok {
		return "the check failed; the log says why"
	}
	switch failure.Kind {
	case upstream.NotFound, upstream.Denied:
		return c.Title + " no longer has it"
	case upstream.CredentialRefused, upstream.Blocked:
		return c.Title + " cannot be asked with the configured credentials"
	case upstream.PullLimit:
		return c.Title + "'s pull rate limit is reached"
	case upstream.Reserved:
		return "what is left of " + c.Title + "'s pull rate limit is set aside for others"
	case upstream.OverBudget:
		return "the project's budget of pulls from " + c.Title + " is used up"
	case upstream.AbuseLimit:
		return c.Title + " is refusing all requests from this address for a while"
	case upstream.Timeout:
		return c.Title + " did not answer in time"
	case upstream.Invalid:
		return c.Title + " answered with something that cannot be used"
	}
	return c.Title + " cannot be reached or is failing"
}

// missed is the cache status of an answer that was not held and could not be had.
func (c *Cache) missed(err error) oci.Served {
	status := oci.CacheStatus{Forward: "miss"}
	if failure, ok := errors.AsType[*upstream.Error](err); ok {
		status.ForwardStatus = failure.Status
	}
	return oci.Served{Cache: &status}
}

// withCode gives a not-found another code than a manifest's.
func withCode(err error, code oci.Code) error {
	refusal, ok := errors.AsType[*oci.Error](err)
	if !ok || refusal.Code != oci.CodeManifestUnknown {
		return err
	}
	unknown := *refusal
	unknown.Code = code
	return &unknown
}
