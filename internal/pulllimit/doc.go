// Package pulllimit limits how many images callers pull, as Docker Hub does: so many in any
// window of time, strangers by their address, all others by their account. What was counted
// is kept in memory, so that a pull waits for no storage, and written every second, so that
// it survives a restart and is known to the other processes on the same database.
//
// A pull is one GET of a manifest that was answered, or two: that of an index, and that of
// one of its manifests by the same caller within ten minutes (pairs.go). HEAD is none.
package pulllimit
