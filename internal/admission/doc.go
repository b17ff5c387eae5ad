// Package admission answers the admission webhook of a Kubernetes API server
// (admission.k8s.io/v1): images of pods become those by which Larder serves them. Whatever
// it cannot do leaves the pod as it is, so that it is never the reason why one is not made.
package admission
