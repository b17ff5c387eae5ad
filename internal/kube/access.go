package kube

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	authorization "k8s.io/api/authorization/v1"
)

// Access is something that a user may want to do to a resource. An empty Namespace means
// all of them, an empty Name every object.
type Access struct {
	User                         User
	Verb                         string
	Group, Resource, Subresource string
	Namespace, Name              string
}

// ReviewAccess tells whether the user may. The error is an *UnansweredError when nobody
// can tell; nothing is allowed then.
func (k *Client) ReviewAccess(ctx context.Context, a Access) (bool, error) {
	return k.decisions.get(a.Key(), func() (bool, error) { return k.reviewAccess(ctx, a) })
}

func (k *Client) reviewAccess(ctx context.Context, a Access) (bool, error) {
	question := &authorization.SubjectAccessReview{Spec: authorization.SubjectAccessReviewSpec{
		User: a.User.Name, UID: a.User.UID, Groups: a.User.Groups, Extra: map[string]authorization.ExtraValue{},
		ResourceAttributes: &authorization.ResourceAttributes{
			Verb: a.Verb, Group: a.Group, Resource: a.Resource, Subresource: a.Subresource, Namespace: a.Namespace, Name: a.Name,
		},
	}}
	for key, values := range a.User.Extra {
		question.Spec.Extra[key] = values
	}
	var answer authorization.SubjectAccessReview
	err := k.review(ctx, k.authorization, accessReviews, question, &answer)
	if errors.Is(err, errQuestion) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed && !answer.Status.Denied, nil
}

// Key is the hash of the question. Lengths are written before texts, so that no two
// questions can be alike.
func (a Access) Key() [sha256.Size]byte {
	buffer := make([]byte, 0, 512)
	add := func(texts ...string) {
		buffer = binary.AppendUvarint(buffer, uint64(len(texts)))
		for _, text := range texts {
			buffer = binary.AppendUvarint(buffer, uint64(len(text)))
			buffer = append(buffer, text...)
		}
	}
	add(a.Verb, a.Group, a.Resource, a.Subresource, a.Namespace, a.Name, a.User.Name, a.User.UID)
	add(a.User.Groups...)
	for _, key := range slices.Sorted(maps.Keys(a.User.Extra)) {
		add(key)
		add(a.User.Extra[key]...)
	}
	return sha256.Sum256(buffer)
}
