package authz

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Roles that every registry has. What each of them may is what OpenShift lets it do.
const (
	RoleImagePuller     = "system:image-puller"
	RoleImagePusher     = "system:image-pusher"
	RoleImageBuilder    = "system:image-builder"
	RoleImageSigner     = "system:image-signer"
	RoleImagePruner     = "system:image-pruner"
	RoleRegistryViewer  = "registry-viewer"
	RoleRegistryEditor  = "registry-editor"
	RoleRegistryAdmin   = "registry-admin"
	RoleView            = "view"
	RoleEdit            = "edit"
	RoleAdmin           = "admin"
	RoleSelfProvisioner = "self-provisioner"
	RoleClusterAdmin    = "cluster-admin"
)

// The groups of resources that rules name.
const (
	groupCore    = ""
	groupImage   = "image.openshift.io"
	groupBuild   = "build.openshift.io"
	groupProject = "project.openshift.io"
	groupUser    = "user.openshift.io"
	groupAuthz   = "authorization.openshift.io"
	groupRBAC    = "rbac.authorization.k8s.io"
	groupReview  = "authorization.k8s.io"
)

// BuiltinRole is a role that every registry has and nobody can change.
type BuiltinRole struct {
	Name string
	// Summary says in a few words what it is for.
	Summary string
	Rules   []rbacv1.PolicyRule
}

// BuiltinRoles are the roles that can be bound in every project, from what may least to
// what may most.
func BuiltinRoles() []BuiltinRole {
	return []BuiltinRole{
		{RoleImagePuller, "pull images", pullRules()},
		{RoleImagePusher, "pull and push images, to repositories that exist", pushRules()},
		{RoleImageBuilder, "pull and push images, also to new repositories", builderRules()},
		{RoleImageSigner, "pull and sign images", []rbacv1.PolicyRule{
			images("get")("images", "imagestreams/layers"),
			images("create", "delete")("imagesignatures"),
		}},
		{RoleRegistryViewer, "pull images, and see which there are", viewerRules()},
		{RoleRegistryEditor, "all that is done with images, and service accounts", editorRules()},
		{RoleRegistryAdmin, "what registry-editor may, and roles and bindings", registryAdminRules()},
		{RoleView, "see a project and pull from it", viewRules()},
		{RoleEdit, "change what is in a project", editRules()},
		{RoleAdmin, "own a project", adminRules()},
		{RoleSelfProvisioner, "make projects, and own those", []rbacv1.PolicyRule{
			rule([]string{groupProject, groupCore}, "create")("projectrequests"),
		}},
		{RoleImagePruner, "remove what nothing refers to", prunerRules()},
		{RoleClusterAdmin, "everything", []rbacv1.PolicyRule{
			rule([]string{rbacv1.APIGroupAll}, rbacv1.VerbAll)(rbacv1.ResourceAll),
		}},
	}
}

func rule(groups []string, verbs ...string) func(resources ...string) rbacv1.PolicyRule {
	return func(resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: verbs, APIGroups: groups, Resources: resources}
	}
}

func images(verbs ...string) func(resources ...string) rbacv1.PolicyRule {
	return rule([]string{groupImage, groupCore}, verbs...)
}

func projects(verbs ...string) rbacv1.PolicyRule {
	return rule([]string{groupProject, groupCore}, verbs...)("projects")
}

func namespaces() rbacv1.PolicyRule { return rule([]string{groupCore}, "get")("namespaces") }

func read() []string { return []string{"get", "list", "watch"} }

func readWrite() []string {
	return append(read(), "create", "update", "patch", "delete", "deletecollection")
}

func pullRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{images("get")("imagestreams/layers")}
}

func pushRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{images("get", "update")("imagestreams/layers")}
}

func builderRules() []rbacv1.PolicyRule {
	builds := []string{groupBuild, groupCore}
	return append(pushRules(),
		images("create")("imagestreams"),
		rule(builds, "update")("builds/details"),
		rule(builds, "get")("builds"),
	)
}

func viewerRules() []rbacv1.PolicyRule {
	return append(pullRules(),
		images(read()...)("imagestreams", "imagestreamtags", "imagestreamimages", "imagestreammappings", "imagetags"),
		namespaces(), projects("get"),
	)
}

// writerRules are what registry-editor and registry-admin have in common.
func writerRules() []rbacv1.PolicyRule {
	return append(pushRules(),
		images(readWrite()...)("imagestreams", "imagestreams/secrets", "imagestreamtags", "imagestreamimages", "imagestreammappings", "imagetags"),
		images("create")("imagestreamimports"),
		rule([]string{groupCore}, readWrite()...)("serviceaccounts", "secrets"),
		namespaces(),
	)
}

func editorRules() []rbacv1.PolicyRule { return append(writerRules(), projects("get")) }

func registryAdminRules() []rbacv1.PolicyRule {
	return append(writerRules(),
		rule([]string{groupRBAC, groupAuthz, groupCore}, readWrite()...)("roles", "rolebindings"),
		rule([]string{groupAuthz, groupCore}, "create")(
			"localresourceaccessreviews", "localsubjectaccessreviews", "subjectrulesreviews", "resourceaccessreviews", "subjectaccessreviews"),
		rule([]string{groupReview}, "create")("localsubjectaccessreviews"),
		projects("get", "delete"),
		rule([]string{groupImage}, "get", "list", "create", "delete")("upstreams/credentials"),
		rule([]string{groupImage}, "get", "list", "create", "update", "delete")("webhooks"),
	)
}

func viewRules() []rbacv1.PolicyRule {
	return append(viewerRules(),
		images(read()...)("imagestreams/status"),
		rule([]string{groupCore}, read()...)("events", "serviceaccounts"),
	)
}

func editRules() []rbacv1.PolicyRule {
	return slices.Concat(viewRules(), editorRules(), builderRules(), []rbacv1.PolicyRule{
		rule([]string{groupCore}, "create")("serviceaccounts/token"),
	})
}

func adminRules() []rbacv1.PolicyRule {
	return slices.Concat(editRules(), registryAdminRules(), []rbacv1.PolicyRule{
		projects("get", "update", "patch", "delete"),
	})
}

func prunerRules() []rbacv1.PolicyRule {
	workloads := []string{groupCore, "apps", "batch", "apps.openshift.io", groupBuild}
	return []rbacv1.PolicyRule{
		images("delete")("images"),
		images(read()...)("images", "imagestreams"),
		images("update")("imagestreams/status"),
		rule(workloads, "get", "list")("pods", "replicationcontrollers", "deploymentconfigs", "buildconfigs", "builds",
			"jobs", "cronjobs", "daemonsets", "deployments", "replicasets", "statefulsets"),
		rule([]string{groupCore}, "list")("limitranges"),
	}
}
