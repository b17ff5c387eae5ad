package imagetrigger_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/imagetrigger"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a cluster, a registry whose tags move, and what was changed.
type fixture struct {
	t          *testing.T
	controller *imagetrigger.Controller
	tags       map[string]digest.Digest // by REPOSITORY:TAG
	patched    []string                 // PATH CONTAINER=IMAGE
	refuse     error
	may        map[string]bool // USER pulls REPOSITORY
	clock      *testkit.Clock
	log        *testkit.Buffer
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{
		t: t, tags: map[string]digest.Digest{"demo/web:latest": one, "demo/team/side:1": two}, log: new(testkit.Buffer),
		may: map[string]bool{
			"system:serviceaccount:demo:default demo/web": true, "system:serviceaccount:demo:default demo/team/side": true,
			"system:serviceaccount:shop:runner demo/web": true,
		},
		clock: testkit.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)),
	}
	f.controller = imagetrigger.New(imagetrigger.Config{
		Cluster: f, Tags: tagsOf{f}, Projects: projects{}, Authorizer: f, Host: "registry.example",
		Watched: func(namespace string) bool { return namespace != "quiet" }, Now: f.clock.Now, Log: slog.New(slog.NewTextHandler(f.log, nil)),
	})
	return f
}

const (
	one = digest.Digest("sha256:1111111111111111111111111111111111111111111111111111111111111111")
	two = digest.Digest("sha256:2222222222222222222222222222222222222222222222222222222222222222")
)

type tagsOf struct{ *fixture }

func (f tagsOf) Get(_ context.Context, repository, name string) (metadata.Tag, error) {
	d, ok := f.tags[repository+":"+name]
	if !ok {
		return metadata.Tag{}, metadata.ErrNotFound
	}
	return metadata.Tag{Name: name, Digest: d}, nil
}

type projects struct{}

func (projects) Get(_ context.Context, name string) (metadata.Project, error) {
	return metadata.Project{Name: name, Kind: metadata.Hosted}, nil
}

func (f *fixture) Allowed(_ context.Context, id authn.Identity, action authz.Action, target authz.Target) (bool, error) {
	if action != authz.Pull || len(id.Groups) != 3 {
		f.t.Errorf("asked was whether %+v may %s", id, action)
	}
	return f.may[id.User+" "+target.Repository], nil
}

func (*fixture) Watch(ctx context.Context, _, _ string, _ func(kube.Event)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *fixture) Patch(_ context.Context, path string, operations []kube.Operation) error {
	if f.refuse != nil {
		return f.refuse
	}
	container := ""
	for _, o := range operations {
		switch {
		case o.Op == "test" && strings.HasSuffix(o.Path, "/name"):
			container = o.Value.(string)
		case o.Op == "replace":
			f.patched = append(f.patched, path+o.Path+" "+container+"="+o.Value.(string))
		}
	}
	return nil
}

// heard tells the controller of a workload.
func (f *fixture) heard(resource, namespace, name, triggers, spec string) {
	f.t.Helper()
	kind, ok := imagetrigger.ParseKind(resource)
	if !ok {
		f.t.Fatalf("%s is no kind", resource)
	}
	note, err := json.Marshal(triggers)
	if err != nil {
		f.t.Fatal(err)
	}
	f.controller.Heard(kind, kube.Event{Object: json.RawMessage(`{"metadata":{"name":"` + name + `","namespace":"` + namespace +
		`","annotations":{"image.openshift.io/triggers":` + string(note) + `}},"spec":` + spec + `}`)})
}

func (f *fixture) want(patched ...string) {
	f.t.Helper()
	f.controller.Sync(f.t.Context())
	if diff := cmp.Diff(patched, f.patched); diff != "" {
		f.t.Errorf("changed (-want +got):\n%s\n%s", diff, f.log)
	}
	f.patched = nil
}

const (
	web       = `{"template":{"spec":{"containers":[{"name":"side","image":"busybox"},{"name":"web","image":" "}],"initContainers":[{"name":"init","image":"old"}]}}}`
	following = `[{"from":{"kind":"ImageStreamTag","name":"web:latest"},"fieldPath":"spec.template.spec.containers[?(@.name==\"web\")].image"}]`
	deploy    = "/apis/apps/v1/namespaces/demo/deployments/web"
)

func TestAWorkloadGetsWhatItsTagNamesAndFollowsItsMoves(t *testing.T) {
	f := newFixture(t)
	f.heard("deploy", "demo", "web", following, web)
	f.want(deploy + "/spec/template/spec/containers/1/image web=registry.example/demo/web@" + one.String())
	f.heard("deploy", "demo", "web", following, strings.Replace(web, `" "`, `"registry.example/demo/web@`+one.String()+`"`, 1))
	f.want()
	f.tags["demo/web:latest"] = two
	f.want(deploy + "/spec/template/spec/containers/1/image web=registry.example/demo/web@" + two.String())
	delete(f.tags, "demo/web:latest")
	f.want()
}

func TestEachKindAndEachFormOfTriggersIsHeeded(t *testing.T) {
	const atNumber = `[{"from":{"kind":"ImageStreamTag","name":"web:latest","namespace":"demo"},"fieldPath":"spec.template.spec.initContainers[0].image"}]`
	const job = `[{"from":{"kind":"ImageStreamTag","name":"web:latest"},"fieldPath":"spec.jobTemplate.spec.template.spec.containers[?(@.name==\"web\")].image"}]`
	image := "registry.example/demo/web@" + one.String()
	tests := map[string]struct{ resource, namespace, triggers, spec, want string }{
		"a StatefulSet": {"sts", "demo", following, web, "/apis/apps/v1/namespaces/demo/statefulsets/x/spec/template/spec/containers/1/image web=" + image},
		"a DaemonSet":   {"daemonsets.apps", "demo", following, web, "/apis/apps/v1/namespaces/demo/daemonsets/x/spec/template/spec/containers/1/image web=" + image},
		"a CronJob": {
			"cronjob", "demo", job, `{"jobTemplate":{"spec":` + web + `}}`,
			"/apis/batch/v1/namespaces/demo/cronjobs/x/spec/jobTemplate/spec/template/spec/containers/1/image web=" + image,
		},
		"an initial container by its number": {"deployment", "demo", atNumber, web, "/apis/apps/v1/namespaces/demo/deployments/x/spec/template/spec/initContainers/0/image init=" + image},
		"a name in single quotes": {
			"deploy", "demo", strings.ReplaceAll(following, `\"`, `'`), web, "/apis/apps/v1/namespaces/demo/deployments/x/spec/template/spec/containers/1/image web=" + image,
		},
		"another project that may be pulled": {
			"deploy", "shop", strings.Replace(following, `"name"`, `"namespace":"demo","name"`, 1), strings.Replace(web, `{"containers"`, `{"serviceAccountName":"runner","containers"`, 1),
			"/apis/apps/v1/namespaces/shop/deployments/x/spec/template/spec/containers/1/image web=" + image,
		},
		"a repository of several parts": {
			"deploy", "demo", strings.Replace(following, "web:latest", "team/side:1", 1), web,
			"/apis/apps/v1/namespaces/demo/deployments/x/spec/template/spec/containers/1/image web=registry.example/demo/team/side@" + two.String(),
		},
		"one that is paused":          {"deploy", "demo", strings.Replace(following, `[{`, `[{"paused":true,`, 1), web, ""},
		"one that is paused in words": {"deploy", "demo", strings.Replace(following, `[{`, `[{"paused":"true",`, 1), web, ""},
		"no trigger":                  {"deploy", "demo", `[]`, web, ""},
		"a tag that is not there":     {"deploy", "demo", strings.Replace(following, "latest", "next", 1), web, ""},
		"a namespace not watched":     {"deploy", "quiet", following, web, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.heard(tt.resource, tt.namespace, "x", tt.triggers, tt.spec)
			if tt.want == "" {
				f.want()
			} else {
				f.want(tt.want)
			}
			if f.log.String() != "" && tt.want == "" {
				t.Errorf("told was %s", f.log)
			}
		})
	}
}

func TestWhatCannotBeFollowedIsToldOnce(t *testing.T) {
	tests := map[string]struct{ namespace, triggers, spec, want string }{
		"a project that is closed": {"shop", strings.Replace(following, `"name"`, `"namespace":"demo","name"`, 1), web, "system:serviceaccount:shop:default the role system:image-puller in project demo"},
		"no list":                  {"demo", `{}`, web, "is no list of triggers"},
		"no such container":        {"demo", strings.Replace(following, "web\\\"", "app\\\"", 1), web, "by the name app in containers"},
		"no such number":           {"demo", strings.Replace(following, `?(@.name==\"web\")`, "7", 1), web, "it has 2"},
		"no such field":            {"demo", strings.Replace(following, "spec.template", "spec.jobTemplate.spec.template", 1), web, "write it like spec.template.spec.containers"},
		"another kind of source":   {"demo", strings.Replace(following, "ImageStreamTag", "DockerImage", 1), web, "it has to be an ImageStreamTag"},
		"no tag":                   {"demo", strings.Replace(following, "web:latest", "web", 1), web, "with the name REPOSITORY:TAG"},
		"no name":                  {"demo", strings.Replace(following, "web:latest", "../web:latest", 1), web, "a trigger follows"},
		"too many":                 {"demo", "[" + strings.Repeat(`{},`, 64) + "{}]", web, "64 is the most"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.heard("deploy", tt.namespace, "web", tt.triggers, tt.spec)
			f.want()
			f.clock.Pass(time.Hour)
			f.want()
			if got := f.log.String(); strings.Count(got, "does not follow its tags") != 1 || !strings.Contains(strings.ReplaceAll(got, `\"`, `"`), tt.want) {
				t.Errorf("told was %s", got)
			}
		})
	}
}

func TestAWorkloadThatCannotBeChangedIsTriedAgainLater(t *testing.T) {
	f := newFixture(t)
	f.heard("deploy", "demo", "web", following, web)
	f.refuse = errors.New("forbidden")
	f.want()
	f.refuse = nil
	f.want()
	f.clock.Pass(31 * time.Second)
	f.want(deploy + "/spec/template/spec/containers/1/image web=registry.example/demo/web@" + one.String())
	if !strings.Contains(f.log.String(), "follows its tags again") {
		t.Errorf("told was %s", f.log)
	}
}

func TestAWorkloadThatIsGoneIsForgotten(t *testing.T) {
	f := newFixture(t)
	f.heard("deploy", "demo", "web", following, web)
	f.refuse = kube.ErrNoObject
	f.want()
	f.refuse = nil
	f.want()
	f.heard("deploy", "demo", "web", following, web)
	kind, _ := imagetrigger.ParseKind("deploy")
	f.controller.Heard(kind, kube.Event{Gone: true, Object: json.RawMessage(`{"metadata":{"name":"web","namespace":"demo"}}`)})
	f.want()
	if f.log.String() != "" {
		t.Errorf("told was %s", f.log)
	}
}

func TestWhatIsFollowedIsWrittenAsItIsRead(t *testing.T) {
	for _, kind := range imagetrigger.Kinds() {
		made := imagetrigger.Follow(kind, imagetrigger.Source{Name: "web:latest", Namespace: "demo"}, "web", false)
		text, err := imagetrigger.Format([]imagetrigger.Trigger{made})
		if err != nil {
			t.Fatal(err)
		}
		read, err := imagetrigger.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]imagetrigger.Trigger{made}, read); diff != "" {
			t.Error(diff)
		}
		repository, tag, err := read[0].Tag("other")
		if repository != "demo/web" || tag != "latest" || err != nil {
			t.Errorf("it follows %s:%s (%v)", repository, tag, err)
		}
	}
}

func FuzzAnAnnotationIsRead(f *testing.F) {
	f.Add(following)
	f.Add(`[{"paused":"no","fieldPath":"spec.template.spec.containers[999].image"}]`)
	f.Fuzz(func(t *testing.T, annotation string) {
		all, err := imagetrigger.Parse(annotation)
		if err != nil {
			return
		}
		for _, kind := range imagetrigger.Kinds() {
			w, err := imagetrigger.Read(kind, []byte(`{"spec":`+web+`}`))
			if err != nil {
				t.Fatal(err)
			}
			for _, trigger := range all {
				if list, at, err := trigger.Container(w); err == nil && at >= len(w.Containers(list)) {
					t.Errorf("%q means container %d of %s", annotation, at, list)
				}
				if repository, tag, err := trigger.Tag("demo"); err == nil && (repository.Project() == "" || tag == "") {
					t.Errorf("%q means %s:%s", annotation, repository, tag)
				}
			}
		}
	})
}
