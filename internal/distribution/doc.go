// Package distribution speaks the OCI distribution protocol: everything below /v2/,
// and Docker's token service at /token. A request's path is parsed once into a value
// (route.go), its name is resolved to a project (target.go), the caller is found and
// asked for the right (access.go), and a short handler does the work. Whatever goes
// wrong becomes a status in one place (errors.go). For blobs whose bytes are still
// coming in, the end of a response is held back until they are verified (lastbyte.go).
package distribution
