package kube

import (
	"context"
	"errors"
)

// Check asks one question of each kind, to find out whether they are answered at all. The
// error holds an *UnansweredError for each one that is not.
func (k *Client) Check(ctx context.Context) error {
	_, tokens := k.reviewToken(ctx, "larder-asks-whether-reviews-are-answered")
	if errors.Is(tokens, ErrTokenRefused) {
		tokens = nil
	}
	_, access := k.reviewAccess(ctx, Access{User: User{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}, Verb: "get", Resource: "pods"})
	return errors.Join(tokens, access)
}
