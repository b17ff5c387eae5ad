package authz

// Action is something that a caller may want to do.
type Action int

// The actions. The zero Action is none, and nobody is granted it by its name.
const (
	// Pull reads manifests, tags, blobs and referrers of a repository.
	Pull Action = iota + 1
	// Push writes manifests, tags and blobs to a repository.
	Push
	// Delete removes tags, manifests and blobs from a repository.
	Delete
	// List tells the names of a project's repositories.
	List
	// Administer makes projects and changes what belongs to all.
	Administer
)

// right is the verb and the resource that a role must hold for the action, as
// Kubernetes RBAC and OpenShift's registry have them.
func (a Action) right() (verb, resource string) {
	switch a {
	case Pull:
		return "get", "imagestreams/layers"
	case Push:
		return "update", "imagestreams/layers"
	case Delete:
		return "delete", "imagestreams"
	case List:
		return "list", "imagestreams"
	case Administer:
		return "create", "projects"
	}
	return "", ""
}

// String is the right in the words of an error text, as in `get imagestreams/layers`.
func (a Action) String() string {
	verb, resource := a.right()
	return verb + " " + resource
}
