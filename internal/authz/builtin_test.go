package authz_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/authz"
)

// The roles for the registry allow what OpenShift's of the same names do, and nothing more.
func TestTheRolesOfTheRegistryAllowExactlyWhatThoseOfOpenShiftDo(t *testing.T) {
	const (
		read  = "get list watch"
		write = "get list watch create update patch delete deletecollection"
	)
	objects := func(verbs string, more map[string]string) map[string]string {
		all := map[string]string{
			"imagestreams": verbs, "imagestreamtags": verbs, "imagestreamimages": verbs, "imagestreammappings": verbs, "imagetags": verbs,
			"namespaces": "get", "projects": "get",
		}
		for resource, verbs := range more {
			all[resource] = verbs
		}
		return all
	}
	editor := map[string]string{
		"imagestreams/layers": "get update", "imagestreams/secrets": write, "imagestreamimports": "create", "serviceaccounts": write, "secrets": write,
	}
	admin := map[string]string{
		"roles": write, "rolebindings": write, "projects": "get delete", "localresourceaccessreviews": "create", "localsubjectaccessreviews": "create",
		"resourceaccessreviews": "create", "subjectaccessreviews": "create", "subjectrulesreviews": "create",
	}
	for resource, verbs := range editor {
		admin[resource] = verbs
	}
	want := map[string]map[string]string{
		"system:image-puller":  {"imagestreams/layers": "get"},
		"system:image-pusher":  {"imagestreams/layers": "get update"},
		"system:image-builder": {"imagestreams/layers": "get update", "imagestreams": "create", "builds": "get", "builds/details": "update"},
		"system:image-signer":  {"imagestreams/layers": "get", "images": "get", "imagesignatures": "create delete"},
		"registry-viewer":      objects(read, map[string]string{"imagestreams/layers": "get"}),
		"registry-editor":      objects(write, editor),
		"registry-admin":       objects(write, admin),
	}
	resources := strings.Fields(`imagestreams imagestreams/layers imagestreams/secrets imagestreams/status imagestreamtags imagestreamimages
		imagestreammappings imagestreamimports imagetags images imagesignatures projects projectrequests namespaces roles rolebindings clusterroles
		clusterrolebindings localresourceaccessreviews localsubjectaccessreviews resourceaccessreviews subjectaccessreviews subjectrulesreviews
		serviceaccounts serviceaccounts/token secrets pods builds builds/details events users groups tokens registry/metrics upstreams
		upstreams/ledger backups blobs quotas`)
	w := newWorld(t)
	for role, allowed := range want {
		w.give("demo", role, authz.User(role))
		got := map[string]string{}
		for _, resource := range resources {
			var verbs []string
			for _, verb := range strings.Fields(write + " bind escalate impersonate verify") {
				if w.allowed(person(role), authz.Action(verb+" "+resource), project("demo")) && (verb != "create" || resource != "projectrequests") {
					verbs = append(verbs, verb) // that everybody may who is logged in
				}
			}
			if len(verbs) > 0 {
				got[resource] = strings.Join(verbs, " ")
			}
		}
		if diff := cmp.Diff(allowed, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", role, diff)
		}
	}
}
