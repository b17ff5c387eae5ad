package authz

import "strings"

// Action is something that a caller may want to do: a verb and a resource, as Kubernetes
// RBAC and OpenShift's registry name them, with a space between them.
type Action string

// What is done to the repositories of a project.
const (
	// Pull reads manifests, tags, blobs and referrers of a repository.
	Pull Action = "get imagestreams/layers"
	// Push writes manifests, tags and blobs to a repository.
	Push Action = "update imagestreams/layers"
	// CreateRepository makes a repository, also by the first push to it.
	CreateRepository Action = "create imagestreams"
	// Delete removes a repository, and manifests and blobs from it.
	Delete Action = "delete imagestreams"
	// List tells the names of a project's repositories.
	List Action = "list imagestreams"
	// Describe tells what a repository is for and what it holds.
	Describe Action = "get imagestreams"
	// UpdateRepository changes what is said of a repository.
	UpdateRepository Action = "update imagestreams"
	// Tag makes a tag mean another image of the registry.
	Tag Action = "update imagestreamtags"
	// DeleteTag removes a tag and leaves the image.
	DeleteTag Action = "delete imagestreamtags"
	// Import lets the registry fetch an image from elsewhere.
	Import Action = "create imagestreamimports"
)

// What is done to projects.
const (
	// CreateProject makes projects of any name, also by a push.
	CreateProject Action = "create projects"
	// RequestProject makes a project and owns it; by a push, one of the user's own name.
	RequestProject Action = "create projectrequests"
	GetProject     Action = "get projects"
	UpdateProject  Action = "update projects"
	DeleteProject  Action = "delete projects"
	// ListEvents reads what was changed by whom.
	ListEvents Action = "list events"
)

// What is done to the registry as a whole.
const (
	// Metrics reads the metrics.
	Metrics Action = "get registry/metrics"
	// ListUpstreams tells how upstreams stand: what is left of their limits, and to whom.
	ListUpstreams Action = "list upstreams"
	// GetLedger reads what upstreams were asked for, by whom, and why it failed.
	GetLedger Action = "get upstreams/ledger"
	// ListCredentials and the others are for the credentials that upstreams are asked
	// with: in all projects for those that serve everybody, in a project for its own.
	ListCredentials  Action = "list upstreams/credentials"
	GetCredential    Action = "get upstreams/credentials"
	CreateCredential Action = "create upstreams/credentials"
	DeleteCredential Action = "delete upstreams/credentials"
	// ListWebhooks and the others are for who is told what happens in a project. To get one
	// is to read its deliveries too, to update it to have them delivered again.
	ListWebhooks  Action = "list webhooks"
	GetWebhook    Action = "get webhooks"
	CreateWebhook Action = "create webhooks"
	UpdateWebhook Action = "update webhooks"
	DeleteWebhook Action = "delete webhooks"
	// Prune removes what nothing refers to any more.
	Prune Action = "delete images"
	// Backup reads everything that is kept, secrets included.
	Backup Action = "get backups"
	// Verify reads all blobs, and mends what it can.
	Verify Action = "verify blobs"
)

// What is done to who may do what.
const (
	ListRoles         Action = "list roles"
	GetRole           Action = "get roles"
	CreateRole        Action = "create roles"
	UpdateRole        Action = "update roles"
	DeleteRole        Action = "delete roles"
	ListRoleBindings  Action = "list rolebindings"
	GetRoleBinding    Action = "get rolebindings"
	CreateRoleBinding Action = "create rolebindings"
	UpdateRoleBinding Action = "update rolebindings"
	DeleteRoleBinding Action = "delete rolebindings"

	ListClusterRoles         Action = "list clusterroles"
	GetClusterRole           Action = "get clusterroles"
	CreateClusterRole        Action = "create clusterroles"
	UpdateClusterRole        Action = "update clusterroles"
	DeleteClusterRole        Action = "delete clusterroles"
	ListClusterRoleBindings  Action = "list clusterrolebindings"
	GetClusterRoleBinding    Action = "get clusterrolebindings"
	CreateClusterRoleBinding Action = "create clusterrolebindings"
	UpdateClusterRoleBinding Action = "update clusterrolebindings"
	DeleteClusterRoleBinding Action = "delete clusterrolebindings"

	// ReviewSubject asks what others may do in a project, ReviewResource who may do what.
	ReviewSubject  Action = "create localsubjectaccessreviews"
	ReviewResource Action = "create localresourceaccessreviews"
)

// What is done to accounts.
const (
	ListServiceAccounts  Action = "list serviceaccounts"
	GetServiceAccount    Action = "get serviceaccounts"
	CreateServiceAccount Action = "create serviceaccounts"
	DeleteServiceAccount Action = "delete serviceaccounts"
	// CreateServiceAccountToken makes a secret by which one is a service account.
	CreateServiceAccountToken Action = "create serviceaccounts/token"

	ListUsers   Action = "list users"
	GetUser     Action = "get users"
	CreateUser  Action = "create users"
	UpdateUser  Action = "update users"
	DeleteUser  Action = "delete users"
	ListGroups  Action = "list groups"
	GetGroup    Action = "get groups"
	CreateGroup Action = "create groups"
	UpdateGroup Action = "update groups"
	DeleteGroup Action = "delete groups"
	// ListTokens and DeleteToken are for the access tokens of others.
	ListTokens  Action = "list tokens"
	DeleteToken Action = "delete tokens"
)

// decided are all actions that requests are decided by.
func decided() []Action {
	return []Action{
		Pull, Push, CreateRepository, Delete, List, Describe, UpdateRepository, Tag, DeleteTag, Import,
		CreateProject, RequestProject, GetProject, UpdateProject, DeleteProject, ListEvents,
		Metrics, ListUpstreams, GetLedger, ListCredentials, GetCredential, CreateCredential, DeleteCredential,
		ListWebhooks, GetWebhook, CreateWebhook, UpdateWebhook, DeleteWebhook, Prune, Backup, Verify,
		ListRoles, GetRole, CreateRole, UpdateRole, DeleteRole,
		ListRoleBindings, GetRoleBinding, CreateRoleBinding, UpdateRoleBinding, DeleteRoleBinding,
		ListClusterRoles, GetClusterRole, CreateClusterRole, UpdateClusterRole, DeleteClusterRole,
		ListClusterRoleBindings, GetClusterRoleBinding, CreateClusterRoleBinding, UpdateClusterRoleBinding, DeleteClusterRoleBinding,
		ReviewSubject, ReviewResource,
		ListServiceAccounts, GetServiceAccount, CreateServiceAccount, DeleteServiceAccount, CreateServiceAccountToken,
		ListUsers, GetUser, CreateUser, UpdateUser, DeleteUser, ListGroups, GetGroup, CreateGroup, UpdateGroup, DeleteGroup,
		ListTokens, DeleteToken,
	}
}

// Verb is the first word of the action.
func (a Action) Verb() string {
	verb, _, _ := strings.Cut(string(a), " ")
	return verb
}

// Resource is what follows the verb, with its subresource, as in imagestreams/layers.
func (a Action) Resource() string {
	_, resource, _ := strings.Cut(string(a), " ")
	return resource
}
