// Package oci holds the words of the OCI Distribution specification: repository
// names, references, digests, manifests, ranges, error codes and the cache status
// of an answer. It does no I/O.
package oci
