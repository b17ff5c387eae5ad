// Package imagetrigger has workloads of a cluster follow tags of the registry. A workload
// says so by OpenShift's annotation image.openshift.io/triggers: when the tag moves, the
// image of the container is set to what it names, by its digest.
package imagetrigger
