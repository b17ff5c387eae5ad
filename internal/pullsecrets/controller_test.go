package pullsecrets_test

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/pullsecrets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachServiceAccountOfANamespaceThatAsksHasASecretOfItsOwn(t *testing.T) {
	f := newFixture(t)
	f.account("demo", "default")
	f.account("demo", "ci")
	f.account("other", "default")
	f.sync()
	if got := f.password("demo/larder-pull-default", "registry.example"); got != "demo/default-2" {
		t.Errorf("default pulls with %q", got)
	}
	if got := f.password("demo/larder-pull-ci", "registry.example"); got != "demo/ci-1" {
		t.Errorf("ci pulls with %q", got)
	}
	if got := string(f.secrets["demo/larder-pull-ci"].Config); !strings.Contains(got, base64.StdEncoding.EncodeToString([]byte("unused:demo/ci-1"))) {
		t.Errorf("the secret holds %s", got)
	}
	if got := f.accounts["demo/default"].PullSecrets; !slices.Equal(got, []string{"larder-pull-default"}) {
		t.Errorf("default pulls by %q", got)
	}
	if got := f.accounts["other/default"]; got.PullSecrets != nil || got.Labels != nil || len(f.secrets) != 2 {
		t.Errorf("a namespace that does not ask got %+v", got)
	}
	if got := f.secrets["demo/larder-pull-ci"]; got.Owner.UID != f.accounts["demo/ci"].UID || got.Labels["app.kubernetes.io/managed-by"] != "larder" {
		t.Errorf("the secret is %+v", got)
	}
}

func TestWhatIsInOrderIsLeftAlone(t *testing.T) {
	f := newFixture(t)
	f.account("demo", "default")
	f.sync()
	wrote := f.wrote
	f.sync()
	f.restart("registry.example")
	f.sync()
	if f.wrote != wrote || f.issuer.issued != 1 {
		t.Errorf("%d more changes, %d credentials", f.wrote-wrote, f.issuer.issued)
	}
}

func TestSecretsOfOthersStay(t *testing.T) {
	f := newFixture(t)
	f.account("demo", "default", "hub", "quay")
	f.account("demo", "taken")
	f.secrets["demo/larder-pull-taken"] = kube.PullSecret{Namespace: "demo", Name: "larder-pull-taken", UID: "theirs", Config: []byte(`{}`)}
	failed := f.controller.Sync(t.Context())
	if err := failed["demo/taken"]; len(failed) != 1 || err == nil || !strings.Contains(err.Error(), "secret larder-pull-taken in namespace demo is somebody else's") {
		t.Errorf("failed: %v", failed)
	}
	if got := f.accounts["demo/default"].PullSecrets; !slices.Equal(got, []string{"hub", "quay", "larder-pull-default"}) {
		t.Errorf("default pulls by %q", got)
	}
	f.ask("demo", false)
	f.sync()
	if got := f.accounts["demo/default"].PullSecrets; !slices.Equal(got, []string{"hub", "quay"}) {
		t.Errorf("afterwards default pulls by %q", got)
	}
	if _, there := f.secrets["demo/larder-pull-taken"]; !there {
		t.Error("somebody else's secret was removed")
	}
}

func TestACredentialIsRenewedAtHalfOfItsLife(t *testing.T) {
	f := newFixture(t)
	f.account("demo", "default")
	f.sync()
	f.clock.Pass(12*time.Hour - time.Minute)
	f.sync()
	if f.issuer.issued != 1 {
		t.Errorf("%d credentials before half of the life", f.issuer.issued)
	}
	f.clock.Pass(time.Minute)
	f.sync()
	if got := f.password("demo/larder-pull-default", "registry.example"); got != "demo/default-2" || len(f.issuer.revoked) != 0 {
		t.Errorf("default pulls with %q, and revoked were %q: pods may be pulling with the one before", got, f.issuer.revoked)
	}
}

func TestWhatDoesNotServeIsReplaced(t *testing.T) {
	tests := map[string]func(f *fixture){
		"the registry has another name": func(f *fixture) { f.restart("new.example") },
		"the account was made anew":     func(f *fixture) { f.account("demo", "default") },
		"the secret was emptied": func(f *fixture) {
			s := f.secrets["demo/larder-pull-default"]
			s.Config = []byte(`x`)
			f.secrets["demo/larder-pull-default"] = s
			f.restart("registry.example")
		},
		"the secret was removed": func(f *fixture) {
			delete(f.secrets, "demo/larder-pull-default")
			f.restart("registry.example")
		},
	}
	for name, happens := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.account("demo", "default")
			f.sync()
			happens(f)
			f.sync()
			host := "registry.example"
			if name == "the registry has another name" {
				host = "new.example"
			}
			if got := f.password("demo/larder-pull-default", host); got != "demo/default-2" {
				t.Errorf("default pulls with %q", got)
			}
			if got := f.accounts["demo/default"].PullSecrets; !slices.Equal(got, []string{"larder-pull-default"}) {
				t.Errorf("default pulls by %q", got)
			}
		})
	}
}

func TestOptingOutRemovesSecretAndCredential(t *testing.T) {
	f := newFixture(t)
	f.account("demo", "default", "hub")
	f.sync()
	f.ask("demo", false)
	f.restart("registry.example") // also when it happened while nobody looked
	f.sync()
	account := f.accounts["demo/default"]
	if len(f.secrets) != 0 || !slices.Equal(account.PullSecrets, []string{"hub"}) || account.Labels != nil {
		t.Errorf("left are %v and %+v", f.secrets, account)
	}
	if diff := cmp.Diff([]string{"id-1"}, f.issuer.revoked); diff != "" {
		t.Errorf("revoked (-want +got):\n%s", diff)
	}
	wrote := f.wrote
	f.sync()
	if f.wrote != wrote {
		t.Error("afterwards something is changed yet")
	}
}

func TestALongNameHasASecretOfItsOwn(t *testing.T) {
	long := strings.Repeat("a", 250)
	one, other := pullsecrets.SecretName(long), pullsecrets.SecretName(long+"b")
	if len(one) > 253 || one == other || !strings.HasPrefix(one, "larder-pull-") {
		t.Errorf("the secrets are %q and %q", one, other)
	}
}

func TestWhatFailsIsToldOnceAndTriedAgain(t *testing.T) {
	f := newFixture(t)
	f.account("demo", "default")
	f.issuer.refuse(errors.New("no project demo"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.controller.Run(ctx)
	}()
	f.account("demo", "second") // a change, of which the controller hears
	f.eventually("the failure", func() bool {
		return strings.Contains(f.log.String(), "of=demo/second") && strings.Contains(f.log.String(), "of=demo/default")
	})
	f.issuer.refuse(nil)
	f.ask("none", true)
	f.eventually("the end of it", func() bool { return strings.Count(f.log.String(), "kept in the cluster again") == 2 })
	cancel()
	<-ended
	if got := strings.Count(f.log.String(), "level=ERROR"); got != 2 {
		t.Errorf("%d errors were told: %s", got, f.log)
	}
}

func (f *fixture) eventually(what string, is func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("%s did not come: %s", what, f.log)
		}
	}
}
