package kube

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The resources that are created for a review.
const (
	tokenReviews  = "tokenreviews"
	accessReviews = "subjectaccessreviews"
)

// grant is the command that lets Larder ask.
const grant = "kubectl create clusterrolebinding larder-auth-delegator --clusterrole=system:auth-delegator --serviceaccount=NAMESPACE:NAME"

// UnansweredError says that the cluster decided nothing. It is neither a yes nor a no.
type UnansweredError struct {
	// Public is what everyone may know.
	Public string
	// Err is what the operator needs: what was asked, what happened, what to do next.
	Err error
}

func (e *UnansweredError) Error() string { return e.Public + ": " + e.Err.Error() }

func (e *UnansweredError) Unwrap() error { return e.Err }

// errQuestion is returned when the API server refuses to consider a question, such as one
// with a name that it does not take. That is no outage, so that nobody can feign one.
var errQuestion = errors.New("the API server refuses the question")

// failure finds out why a review was not made.
func failure(resource string, err error) error {
	err = fmt.Errorf("creating %s: %w", resource, err)
	switch {
	case apierrors.IsBadRequest(err), apierrors.IsInvalid(err), apierrors.IsRequestEntityTooLargeError(err):
		return fmt.Errorf("%w: %w", errQuestion, err)
	case apierrors.IsForbidden(err):
		return &UnansweredError{
			Public: "the cluster does not let this registry ask it, and the registry's log says what to do",
			Err:    fmt.Errorf("%w; let Larder's account ask: %s", err, grant),
		}
	case apierrors.IsUnauthorized(err):
		return &UnansweredError{
			Public: "the cluster does not accept this registry's own credentials",
			Err:    fmt.Errorf("%w; renew the credentials in the kubeconfig, or the token of Larder's service account", err),
		}
	case apierrors.IsNotFound(err):
		return &UnansweredError{
			Public: "what should be the cluster's API server is another",
			Err:    fmt.Errorf("%w; check the server's address in the kubeconfig", err),
		}
	}
	return &UnansweredError{Public: "the cluster's API server did not answer", Err: err}
}
