package kube_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authentication "k8s.io/api/authentication/v1"

	"github.com/larder-registry/larder/internal/kube"
)

func TestTheClusterTellsWhoseTokenItIs(t *testing.T) {
	c := newCluster(t)
	client := c.client()
	c.knows("token-of-ci", authentication.UserInfo{
		Username: "system:serviceaccount:demo:ci", UID: "17", Groups: []string{"system:serviceaccounts", "system:authenticated"},
		Extra: map[string]authentication.ExtraValue{"scopes.authorization.openshift.io": {"user:info"}},
	})

	got, err := client.ReviewToken(t.Context(), "token-of-ci")

	if err != nil {
		t.Fatal(err)
	}
	want := kube.User{
		Name: "system:serviceaccount:demo:ci", UID: "17", Groups: []string{"system:serviceaccounts", "system:authenticated"},
		Extra: map[string][]string{"scopes.authorization.openshift.io": {"user:info"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the user (-want +got):\n%s", diff)
	}
}

func TestATokenIsRefusedThat(t *testing.T) {
	someone := authentication.UserInfo{Username: "someone"}
	big := authentication.UserInfo{Username: "someone", Groups: []string{strings.Repeat("g", 100_000)}}
	tests := []struct {
		name      string
		audiences []string // those configured
		status    authentication.TokenReviewStatus
		allowed   bool
	}{
		{"the cluster does not know", nil, authentication.TokenReviewStatus{Error: "invalid bearer token"}, false},
		{"belongs to nobody", nil, authentication.TokenReviewStatus{Authenticated: true}, false},
		{"has more groups than can be kept", nil, authentication.TokenReviewStatus{Authenticated: true, User: big}, false},
		{"is of a cluster that looks at no audience", []string{"larder"}, authentication.TokenReviewStatus{Authenticated: true, User: someone}, false},
		{"is meant for another", []string{"larder"}, authentication.TokenReviewStatus{Authenticated: true, User: someone, Audiences: []string{"vault"}}, false},
		{"but not one of ours", []string{"larder", "oci"}, authentication.TokenReviewStatus{Authenticated: true, User: someone, Audiences: []string{"oci"}}, true},
		{"but not one of the API server", nil, authentication.TokenReviewStatus{Authenticated: true, User: someone}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t)
			client := c.client(tt.audiences...)
			c.Knows("token", tt.status)

			_, err := client.ReviewToken(t.Context(), "token")

			if allowed := err == nil; allowed != tt.allowed || (!allowed && !errors.Is(err, kube.ErrTokenRefused)) {
				t.Errorf("reviewing gave %v", err)
			}
			asked, _ := c.Asked()
			if diff := cmp.Diff([]authentication.TokenReviewSpec{{Token: "token", Audiences: tt.audiences}}, asked); diff != "" {
				t.Errorf("what was asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestATokenIsReviewedAgainAfterThreeSeconds(t *testing.T) {
	c := newCluster(t)
	client := c.client()
	c.knows("token", authentication.UserInfo{Username: "alice"})
	review := func() error {
		_, err := client.ReviewToken(t.Context(), "token")
		return err
	}

	for range 3 {
		if err := review(); err != nil {
			t.Fatal(err)
		}
	}
	if tokens, _ := c.asked(); tokens != 1 {
		t.Errorf("the token was reviewed %d times at once", tokens)
	}

	c.Forgets("token")
	c.clock.Pass(2 * time.Second)
	if err := review(); err != nil {
		t.Errorf("two seconds later: %v", err)
	}
	c.clock.Pass(time.Second)
	if err := review(); !errors.Is(err, kube.ErrTokenRefused) {
		t.Errorf("the token that was revoked gave %v", err)
	}
}

func TestARevokedTokenDoesNotComeBackWithAnOutage(t *testing.T) {
	c := newCluster(t)
	client := c.client()
	c.knows("token", authentication.UserInfo{Username: "alice"})
	if _, err := client.ReviewToken(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	c.Forgets("token")
	c.clock.Pass(4 * time.Second)
	if _, err := client.ReviewToken(t.Context(), "token"); !errors.Is(err, kube.ErrTokenRefused) {
		t.Fatalf("the token that was revoked gave %v", err)
	}

	c.Close()

	if user, err := client.ReviewToken(t.Context(), "token"); err == nil {
		t.Errorf("the token is that of %s again", user.Name)
	}
}
