-- Times are microseconds since 1970 in UTC; NULL is the zero time. Names and
-- digests compare bytewise.

-- "LARD": by it a database of Larder's is told from any other.
PRAGMA application_id = 1279349316;

CREATE TABLE projects (
	name        TEXT    NOT NULL PRIMARY KEY,
	kind        TEXT    NOT NULL CHECK (kind IN ('hosted', 'cache')),
	description TEXT    NOT NULL,
	creator     TEXT    NOT NULL,
	created_at  INTEGER
) STRICT, WITHOUT ROWID;

-- public is NULL until it is known whether strangers may see the repository.
CREATE TABLE repositories (
	id                    INTEGER PRIMARY KEY,
	name                  TEXT    NOT NULL UNIQUE,
	project               TEXT    NOT NULL REFERENCES projects (name),
	public                INTEGER CHECK (public IN (0, 1)),
	visibility_checked_at INTEGER,
	created_at            INTEGER NOT NULL
) STRICT;
CREATE INDEX repositories_by_project ON repositories (project, name);

CREATE TABLE manifests (
	digest  TEXT NOT NULL PRIMARY KEY,
	content BLOB NOT NULL
) STRICT;

-- The media type stands here and not beside the content: whoever pushes the same
-- bytes under another type must not change what other repositories serve.
CREATE TABLE manifest_links (
	repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	digest        TEXT    NOT NULL REFERENCES manifests (digest),
	media_type    TEXT    NOT NULL,
	subject       TEXT    NOT NULL,
	artifact_type TEXT    NOT NULL,
	PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_links_by_digest ON manifest_links (digest);
CREATE INDEX manifest_links_by_subject ON manifest_links (repository_id, subject, digest) WHERE subject <> '';

CREATE TABLE tags (
	repository_id INTEGER NOT NULL,
	name          TEXT    NOT NULL,
	digest        TEXT    NOT NULL,
	updated_at    INTEGER NOT NULL,
	checked_at    INTEGER,
	PRIMARY KEY (repository_id, name),
	FOREIGN KEY (repository_id, digest) REFERENCES manifest_links (repository_id, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_digest ON tags (repository_id, digest);

CREATE TABLE tag_history (
	id            INTEGER PRIMARY KEY,
	repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	name          TEXT    NOT NULL,
	digest        TEXT    NOT NULL,
	moved_at      INTEGER NOT NULL,
	actor         TEXT    NOT NULL
) STRICT;
CREATE INDEX tag_history_by_tag ON tag_history (repository_id, name, id);

CREATE TABLE blobs (
	digest      TEXT    NOT NULL PRIMARY KEY,
	storage_key TEXT    NOT NULL,
	size        INTEGER NOT NULL CHECK (size >= 0)
) STRICT, WITHOUT ROWID;

-- No foreign key to blobs: a link outlives a blob whose bytes were lost, so that
-- the blob is readable again where it was once its bytes are back.
CREATE TABLE blob_links (
	repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	digest        TEXT    NOT NULL,
	PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_links_by_digest ON blob_links (digest);

-- An upload names its repository by text: the repository need not exist yet.
CREATE TABLE uploads (
	id          TEXT    NOT NULL PRIMARY KEY,
	repository  TEXT    NOT NULL,
	byte_offset INTEGER NOT NULL CHECK (byte_offset >= 0),
	state       BLOB,
	created_at  INTEGER,
	updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_by_update ON uploads (updated_at, id);

CREATE TABLE users (
	name          TEXT    NOT NULL PRIMARY KEY,
	password_hash TEXT    NOT NULL,
	generation    INTEGER NOT NULL,
	created_at    INTEGER,
	disabled      INTEGER NOT NULL CHECK (disabled IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
	id          TEXT    NOT NULL PRIMARY KEY,
	hash        BLOB    NOT NULL UNIQUE,
	user_name   TEXT    NOT NULL REFERENCES users (name) ON DELETE CASCADE,
	description TEXT    NOT NULL,
	created_at  INTEGER,
	expires_at  INTEGER
) STRICT;
CREATE INDEX tokens_by_user ON tokens (user_name, id);
CREATE INDEX tokens_by_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE signing_keys (
	id         TEXT    NOT NULL PRIMARY KEY,
	secret     BLOB    NOT NULL,
	created_at INTEGER NOT NULL
) STRICT;
