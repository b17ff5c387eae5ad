// Package metadata is Larder's one SQL store: projects, repositories, manifests,
// tags, blobs, uploads, users, tokens and signing keys. Blobs' bytes are kept
// elsewhere; manifests' bytes are kept here, written in one transaction with their
// links and tags.
//
// Two rules hold for everything in it. What a method acknowledges by returning nil
// is durable: it survives a crash of the process and of the machine. And content
// is readable in a repository only where that repository links it.
//
// Every statement is one text that SQLite and PostgreSQL both understand. What
// they cannot say alike is in the type dialect and in the migrations.
//
// In SQLite there is one writer. In PostgreSQL transactions are serializable: those
// that run at once leave what they would have left one after the other, and those
// that cannot are run again, as is what loses its connection before its commit, for
// ten seconds at most. An error other than those below leaves open whether a change
// was made; it was made whole or not at all.
//
// Times are kept in microseconds and come back in UTC; the zero time stays the
// zero time. Lists are ordered bytewise by name, hold at most limit entries, and
// start after the name given. An entry that is not there is ErrNotFound, one that
// may not be there yet is ErrExists; both come wrapped in what was asked for.
package metadata
