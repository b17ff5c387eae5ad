// Package pullsecrets keeps pull secrets on the service accounts of a cluster's namespaces
// that ask for it, so that their pods pull private images with nothing in their manifests.
// Each secret has a credential of its own service account, which is renewed long before its
// end: what a pod may pull is what that account may.
package pullsecrets
