package kube

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	authentication "k8s.io/api/authentication/v1"
)

// maxUser bounds what the cluster says about one user, in bytes.
const maxUser = 64 << 10

// ErrTokenRefused is returned for a token that the cluster does not know, or that is not
// meant for this registry.
var ErrTokenRefused = errors.New("the cluster refuses the token")

// User is who a cluster takes somebody for. Extra may narrow what the user may do.
type User struct {
	Name, UID string
	Groups    []string
	Extra     map[string][]string
}

// size is what the user takes in memory, nearly.
func (u User) size() int {
	n := len(u.Name) + len(u.UID)
	for _, g := range u.Groups {
		n += len(g)
	}
	for key, values := range u.Extra {
		n += len(key)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// ReviewToken tells whose token it is. The error is ErrTokenRefused, or an
// *UnansweredError when nobody can tell.
func (k *Client) ReviewToken(ctx context.Context, token string) (User, error) {
	return k.owners.get(sha256.Sum256([]byte(token)), func() (User, error) { return k.reviewToken(ctx, token) })
}

func (k *Client) reviewToken(ctx context.Context, token string) (User, error) {
	question := &authentication.TokenReview{Spec: authentication.TokenReviewSpec{Token: token, Audiences: k.audiences}}
	var answer authentication.TokenReview
	err := k.review(ctx, k.authentication, tokenReviews, question, &answer)
	if errors.Is(err, errQuestion) {
		return User{}, fmt.Errorf("%w: %w", ErrTokenRefused, err)
	}
	if err != nil {
		return User{}, err
	}
	status := answer.Status
	if !status.Authenticated || status.User.Username == "" {
		return User{}, fmt.Errorf("%w: %.200q", ErrTokenRefused, status.Error)
	}
	if !k.meant(status.Audiences) {
		return User{}, fmt.Errorf("%w: it is meant for none of the audiences %q", ErrTokenRefused, k.audiences)
	}
	user := User{Name: status.User.Username, UID: status.User.UID, Groups: status.User.Groups, Extra: map[string][]string{}}
	for key, values := range status.User.Extra {
		user.Extra[key] = values
	}
	if user.size() > maxUser {
		// To leave something out could widen what the user may do.
		return User{}, fmt.Errorf("%w: its user has groups and attributes of more than %d bytes", ErrTokenRefused, maxUser)
	}
	return user, nil
}

// meant tells whether the cluster has looked at the audiences that were asked for: one
// that knows none of audiences leaves them out.
func (k *Client) meant(confirmed []string) bool {
	return len(k.audiences) == 0 || slices.ContainsFunc(confirmed, func(a string) bool { return slices.Contains(k.audiences, a) })
}
