package pullsecrets_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/pullsecrets"
	"github.com/larder-registry/larder/internal/testkit"
)

// fakeCluster keeps namespaces, service accounts and secrets as an API server does.
type fakeCluster struct {
	mu         sync.Mutex
	version    int
	namespaces map[string]bool // whether pull secrets are asked for
	accounts   map[string]kube.ServiceAccount
	secrets    map[string]kube.PullSecret
	wrote      int
	down       error
	watchers   []func()
}

func (f *fakeCluster) next() string {
	f.version++
	for _, w := range f.watchers {
		w()
	}
	return strconv.Itoa(f.version)
}

func (f *fakeCluster) account(namespace, name string, secrets ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.next()
	f.accounts[namespace+"/"+name] = kube.ServiceAccount{Namespace: namespace, Name: name, UID: "uid-" + v, Version: v, PullSecrets: secrets}
}

func (f *fakeCluster) ask(namespace string, asks bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.namespaces[namespace] = asks
	f.next()
}

func (f *fakeCluster) Namespaces(context.Context, string) (all []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.namespaces)) {
		if f.namespaces[name] {
			all = append(all, name)
		}
	}
	return all, f.down
}

func (f *fakeCluster) ServiceAccounts(_ context.Context, namespace, selector string) (all []kube.ServiceAccount, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	label, value, _ := strings.Cut(selector, "=")
	for _, name := range slices.Sorted(maps.Keys(f.accounts)) {
		a := f.accounts[name]
		if (namespace == "" || a.Namespace == namespace) && (selector == "" || a.Labels[label] == value) {
			all = append(all, a)
		}
	}
	return all, nil
}

func (f *fakeCluster) SetPullSecrets(_ context.Context, a kube.ServiceAccount, names []string, label, value string) (kube.ServiceAccount, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := a.Namespace + "/" + a.Name
	if f.accounts[key].Version != a.Version {
		return a, kube.ErrChanged
	}
	f.wrote++
	a.Version, a.PullSecrets, a.Labels = f.next(), names, map[string]string{label: value}
	if value == "" {
		a.Labels = nil
	}
	f.accounts[key] = a
	return a, nil
}

func (f *fakeCluster) PullSecret(_ context.Context, namespace, name string) (kube.PullSecret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.secrets[namespace+"/"+name]
	if !ok {
		return s, kube.ErrNoObject
	}
	return s, nil
}

func (f *fakeCluster) PutPullSecret(_ context.Context, s kube.PullSecret) (kube.PullSecret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.UID == "" {
		s.UID = "uid-" + f.next()
	}
	f.wrote++
	f.secrets[s.Namespace+"/"+s.Name] = s
	return s, nil
}

func (f *fakeCluster) DeletePullSecret(_ context.Context, s kube.PullSecret) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.secrets, s.Namespace+"/"+s.Name)
	return nil
}

func (f *fakeCluster) Watch(ctx context.Context, _, _ string, tell func(kube.Event)) error {
	f.mu.Lock()
	f.watchers = append(f.watchers, func() { tell(kube.Event{}) })
	f.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// fakeIssuer counts what it makes.
type fakeIssuer struct {
	mu      sync.Mutex
	clock   *testkit.Clock
	issued  int
	revoked []string
	refuses error
}

func (f *fakeIssuer) Issue(_ context.Context, a kube.ServiceAccount, in kube.PullSecret, life time.Duration) (pullsecrets.Credential, error) {
	if in.UID == "" {
		return pullsecrets.Credential{}, fmt.Errorf("the secret of %s is not there yet", a.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.issued++
	return pullsecrets.Credential{
		ID: fmt.Sprint("id-", f.issued), Password: fmt.Sprintf("%s/%s-%d", a.Namespace, a.Name, f.issued), ExpiresAt: f.clock.Now().Add(life),
	}, f.refuses
}

func (f *fakeIssuer) Revoke(_ context.Context, id string) error {
	f.revoked = append(f.revoked, id)
	return nil
}

// refuse has it fail from now on, or no longer.
func (f *fakeIssuer) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuses = err
}

// fixture is a cluster whose namespace demo asks for pull secrets.
type fixture struct {
	*fakeCluster
	t          *testing.T
	issuer     *fakeIssuer
	clock      *testkit.Clock
	log        *testkit.Buffer
	controller *pullsecrets.Controller
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{
		t: t, clock: testkit.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)), log: new(testkit.Buffer),
		fakeCluster: &fakeCluster{
			namespaces: map[string]bool{"demo": true, "other": false},
			accounts:   map[string]kube.ServiceAccount{}, secrets: map[string]kube.PullSecret{},
		},
	}
	f.issuer = &fakeIssuer{clock: f.clock}
	f.restart("registry.example")
	return f
}

// restart is a controller that has seen nothing.
func (f *fixture) restart(host string) {
	f.controller = pullsecrets.New(pullsecrets.Config{
		Cluster: f.fakeCluster, Issuer: f.issuer, Host: host, Now: f.clock.Now, Log: slog.New(slog.NewTextHandler(f.log, nil)),
	})
}

func (f *fixture) sync() {
	f.t.Helper()
	for of, err := range f.controller.Sync(f.t.Context()) {
		f.t.Errorf("%s: %v", of, err)
	}
}

// password is what a secret holds for a host; "" for none.
func (f *fixture) password(secret, host string) string {
	f.t.Helper()
	s, ok := f.secrets[secret]
	if !ok {
		return ""
	}
	var file struct {
		Auths map[string]struct{ Username, Password, Auth string }
	}
	if err := json.Unmarshal(s.Config, &file); err != nil {
		f.t.Fatal(err)
	}
	return file.Auths[host].Password
}
