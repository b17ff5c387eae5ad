package authz

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// groupsOf are the groups in which a resource is found, the one that is written into new
// rules first. A rule that names one of them is enough.
func groupsOf(resource string) []string {
	base, _, _ := strings.Cut(resource, "/")
	switch base {
	case "imagestreams", "imagestreamtags", "imagestreamimages", "imagestreammappings", "imagestreamimports",
		"imagetags", "images", "imagesignatures":
		return []string{groupImage, groupCore}
	case "projects", "projectrequests":
		return []string{groupProject, groupCore}
	case "users", "groups":
		return []string{groupUser, groupCore}
	case "roles", "rolebindings", "clusterroles", "clusterrolebindings":
		return []string{groupRBAC, groupAuthz, groupCore}
	case "localresourceaccessreviews", "resourceaccessreviews":
		return []string{groupAuthz, groupCore}
	case "localsubjectaccessreviews", "subjectaccessreviews", "subjectrulesreviews":
		return []string{groupReview, groupAuthz, groupCore}
	case "registry", "upstreams", "webhooks":
		return []string{groupImage}
	}
	return []string{groupCore}
}

// ParseResource reads a resource as people write it: imagestreams, imagestreams/layers,
// imagestreams.image.openshift.io/layers, or one of the short names that oc knows. The
// group is the one that was written, or the resource's own.
func ParseResource(text string) (group, resource string) {
	name, sub, hasSub := strings.Cut(text, "/")
	name, group, hasGroup := strings.Cut(name, ".")
	if long, ok := shortNames()[name]; ok {
		name = long
	}
	resource = name
	if hasSub {
		resource += "/" + sub
	}
	if !hasGroup {
		group = groupsOf(resource)[0]
	}
	return group, resource
}

func shortNames() map[string]string {
	return map[string]string{
		"is": "imagestreams", "imagestream": "imagestreams", "repository": "imagestreams", "repositories": "imagestreams",
		"istag": "imagestreamtags", "imagestreamtag": "imagestreamtags", "tag": "imagestreamtags", "tags": "imagestreamtags",
		"sa": "serviceaccounts", "serviceaccount": "serviceaccounts", "project": "projects",
		"role": "roles", "rolebinding": "rolebindings", "clusterrole": "clusterroles", "clusterrolebinding": "clusterrolebindings",
		"user": "users", "group": "groups", "secret": "secrets", "event": "events", "upstream": "upstreams", "image": "images",
	}
}

// covers tells whether rules allow an action, on the resource called name when that is not
// empty, else on all of them.
func covers(rules []rbacv1.PolicyRule, action Action, name string) bool {
	resource := action.Resource()
	for _, group := range groupsOf(resource) {
		asked := rbacv1.PolicyRule{Verbs: []string{action.Verb()}, APIGroups: []string{group}, Resources: []string{resource}}
		if name != "" {
			asked.ResourceNames = []string{name}
		}
		if covered, _ := validation.Covers(rules, []rbacv1.PolicyRule{asked}); covered {
			return true
		}
	}
	return false
}
