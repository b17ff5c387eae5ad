// Package mirror is one set of rules by which images of other registries are pulled through
// this one, and the forms in which clusters, nodes and build tools are told of it.
package mirror
