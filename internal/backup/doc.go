// Package backup copies a registry to where it is restored from, and moves one from
// one database and storage to others. Both go by a dump of the metadata: it names the
// blobs, and each blob's bytes are compared with its digest wherever they come from.
package backup
