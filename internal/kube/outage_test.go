package kube_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/kube"
)

func TestWithoutAnAnswerWhatWasDecidedCarriesOnAndNothingIsOpened(t *testing.T) {
	tests := []struct {
		name   string
		breaks func(*cluster)
	}{
		{"the API server is gone", func(c *cluster) { c.Close() }},
		{"the API server fails", func(c *cluster) {
			c.Refuse(http.StatusInternalServerError, metav1.StatusReasonInternalError, "etcd is away")
		}},
		{"the API server has too much to do", func(c *cluster) { c.Refuse(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "later") }},
		{"the API server takes the registry for a stranger", func(c *cluster) { c.Refuse(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized") }},
		{"the registry may not ask any more", func(c *cluster) { c.Refuse(http.StatusForbidden, metav1.StatusReasonForbidden, "forbidden") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t)
			client := c.client()
			c.Allow(func(spec authorization.SubjectAccessReviewSpec) bool { return spec.ResourceAttributes.Verb == "get" })
			c.knows("token", authentication.UserInfo{Username: "alice"})
			granted, refused, unknown := pull(), pull(), pull()
			refused.Verb, unknown.Name = "update", "other"
			check := func(when string) {
				t.Helper()
				if may, err := client.ReviewAccess(t.Context(), granted); err != nil || !may {
					t.Errorf("%s: what was granted is %v, %v", when, may, err)
				}
				if may, err := client.ReviewAccess(t.Context(), refused); err != nil || may {
					t.Errorf("%s: what was refused is %v, %v", when, may, err)
				}
				if user, err := client.ReviewToken(t.Context(), "token"); err != nil || user.Name != "alice" {
					t.Errorf("%s: the token is that of %q, %v", when, user.Name, err)
				}
			}
			check("at first")
			start := c.clock.Now()

			tt.breaks(c)
			for _, when := range []time.Duration{4 * time.Second, time.Minute, 9*time.Minute + 50*time.Second} {
				c.clock.Pass(when - c.clock.Now().Sub(start))
				check("after " + when.String())
			}
			wantUnanswered(t, "what was never asked", func(ctx context.Context) error {
				_, err := client.ReviewAccess(ctx, unknown)
				return err
			})
			c.clock.Pass(11 * time.Second)
			wantUnanswered(t, "what was granted ten minutes ago", func(ctx context.Context) error {
				_, err := client.ReviewAccess(ctx, granted)
				return err
			})
			wantUnanswered(t, "a token known ten minutes ago", func(ctx context.Context) error {
				_, err := client.ReviewToken(ctx, "token")
				return err
			})
		})
	}
}

func wantUnanswered(t *testing.T, what string, ask func(context.Context) error) {
	t.Helper()
	if _, ok := errors.AsType[*kube.UnansweredError](ask(t.Context())); !ok {
		t.Errorf("%s gave %v", what, ask(t.Context()))
	}
}

func TestTheClusterCountsAgainOnceItAnswers(t *testing.T) {
	c := newCluster(t)
	client := c.client()
	c.AllowAll(true)
	mustBe := func(when string, want bool) {
		t.Helper()
		if may, err := client.ReviewAccess(t.Context(), pull()); err != nil || may != want {
			t.Errorf("%s: allowed is %v, %v", when, may, err)
		}
	}
	mustBe("at first", true)
	c.Refuse(http.StatusInternalServerError, metav1.StatusReasonInternalError, "etcd is away")
	c.clock.Pass(5 * time.Second)
	mustBe("during the outage", true)

	c.Fail(nil)
	c.AllowAll(false)
	mustBe("while nobody has asked again", true)
	c.clock.Pass(time.Second)
	mustBe("after a second", false)
	if log := c.log.String(); !strings.Contains(log, "the cluster decides nothing") || !strings.Contains(log, "the cluster decides again") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestDuringAnOutageOneQuestionASecondIsAskedAndOneLineAMinuteLogged(t *testing.T) {
	c := newCluster(t)
	client := c.client()
	if _, err := client.ReviewAccess(t.Context(), pull()); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	c.Fail(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	})
	c.clock.Pass(5 * time.Second)
	for range 150 * 4 {
		if _, err := client.ReviewAccess(t.Context(), pull()); err != nil {
			t.Fatal(err)
		}
		c.clock.Pass(time.Second / 4)
	}
	if n := asked.Load(); n != 150 {
		t.Errorf("the API server was asked %d times in 150 seconds", n)
	}
	if lines := strings.Count(c.log.String(), "the cluster decides nothing"); lines != 3 {
		t.Errorf("the log tells of it %d times in 150 seconds:\n%s", lines, c.log)
	}
}

func TestNobodyFeignsAnOutageByAQuestionThatTheClusterRefuses(t *testing.T) {
	c := newCluster(t)
	client := c.client()
	c.Refuse(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "the name is too long")

	if may, err := client.ReviewAccess(t.Context(), pull()); err != nil || may {
		t.Errorf("allowed is %v, %v", may, err)
	}
	if _, err := client.ReviewToken(t.Context(), "token"); !errors.Is(err, kube.ErrTokenRefused) {
		t.Errorf("the token gave %v", err)
	}
	if log := c.log.String(); log != "" {
		t.Errorf("the log is\n%s", log)
	}
}
