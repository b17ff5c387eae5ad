// Package gc frees what nothing refers to any more, while the registry is in use: there
// is no read-only phase, and what a client may have been told is there stays.
//
// A repository keeps the blobs that its manifests name, whatever their type, and those
// that somebody was told of within the grace. A blob that no repository links goes, the
// row before the bytes; bytes that no row leads to go, too. What is pushed, mounted or
// asked for meanwhile is kept because each deletion is one statement that looks again,
// and because a manifest dates the links of its blobs in its own transaction. Manifests
// are never touched: which of them are wanted is not for a collector to say.
package gc
