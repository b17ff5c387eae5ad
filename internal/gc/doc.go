// Package gc frees what nothing refers to any more, while the registry is in use: there
// is no read-only phase, and what a client may have been told is there stays.
package gc
