// Package imagecopy copies images between registries and OCI image layout folders,
// bytes untouched. What the other side has already is not sent again.
package imagecopy
