// Package helmchart renders the Helm chart of deploy/charts, so that larder kube manifests prints
// what Helm makes, for those who have no Helm. It knows of Helm's templates what that chart
// uses; a test compares it with Helm itself.
package helmchart
