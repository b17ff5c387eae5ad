// Package nodefiles keeps files of a node as they should be, among those of others: what it
// writes is there whole or not at all, what somebody else has written is never touched, and
// all of its own can be removed.
package nodefiles
