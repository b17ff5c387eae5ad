-- Times are microseconds since 1970 in UTC; NULL is the zero time. Names and
-- digests compare bytewise, whatever language the database was created for: every
-- text is COLLATE "C".

CREATE TABLE projects (
	name        TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	kind        TEXT   COLLATE "C" NOT NULL CHECK (kind IN ('hosted', 'cache')),
	description TEXT   COLLATE "C" NOT NULL,
	creator     TEXT   COLLATE "C" NOT NULL,
	created_at  BIGINT
);

-- public is NULL until it is known whether strangers may see the repository.
CREATE TABLE repositories (
	id                    BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name                  TEXT    COLLATE "C" NOT NULL UNIQUE,
	project               TEXT    COLLATE "C" NOT NULL REFERENCES projects (name),
	public                BOOLEAN,
	visibility_checked_at BIGINT,
	created_at            BIGINT  NOT NULL
);
CREATE INDEX repositories_by_project ON repositories (project, name);

CREATE TABLE manifests (
	digest  TEXT  COLLATE "C" NOT NULL PRIMARY KEY,
	content BYTEA NOT NULL
);

-- The media type stands here and not beside the content: whoever pushes the same
-- bytes under another type must not change what other repositories serve.
CREATE TABLE manifest_links (
	repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	digest        TEXT   COLLATE "C" NOT NULL REFERENCES manifests (digest),
	media_type    TEXT   COLLATE "C" NOT NULL,
	subject       TEXT   COLLATE "C" NOT NULL,
	artifact_type TEXT   COLLATE "C" NOT NULL,
	PRIMARY KEY (repository_id, digest)
);
CREATE INDEX manifest_links_by_digest ON manifest_links (digest);
CREATE INDEX manifest_links_by_subject ON manifest_links (repository_id, subject, digest) WHERE subject <> '';

CREATE TABLE tags (
	repository_id BIGINT NOT NULL,
	name          TEXT   COLLATE "C" NOT NULL,
	digest        TEXT   COLLATE "C" NOT NULL,
	updated_at    BIGINT NOT NULL,
	checked_at    BIGINT,
	PRIMARY KEY (repository_id, name),
	FOREIGN KEY (repository_id, digest) REFERENCES manifest_links (repository_id, digest) ON DELETE CASCADE
);
CREATE INDEX tags_by_digest ON tags (repository_id, digest);

CREATE TABLE tag_history (
	id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	name          TEXT   COLLATE "C" NOT NULL,
	digest        TEXT   COLLATE "C" NOT NULL,
	moved_at      BIGINT NOT NULL,
	actor         TEXT   COLLATE "C" NOT NULL
);
CREATE INDEX tag_history_by_tag ON tag_history (repository_id, name, id);

CREATE TABLE blobs (
	digest      TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	storage_key TEXT   COLLATE "C" NOT NULL,
	size        BIGINT NOT NULL CHECK (size >= 0)
);

-- No foreign key to blobs: a link outlives a blob whose bytes were lost, so that
-- the blob is readable again where it was once its bytes are back.
CREATE TABLE blob_links (
	repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	digest        TEXT   COLLATE "C" NOT NULL,
	PRIMARY KEY (repository_id, digest)
);
CREATE INDEX blob_links_by_digest ON blob_links (digest);

-- An upload names its repository by text: the repository need not exist yet.
CREATE TABLE uploads (
	id          TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	repository  TEXT   COLLATE "C" NOT NULL,
	byte_offset BIGINT NOT NULL CHECK (byte_offset >= 0),
	state       BYTEA,
	created_at  BIGINT,
	updated_at  BIGINT NOT NULL
);
CREATE INDEX uploads_by_update ON uploads (updated_at, id);

CREATE TABLE users (
	name          TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
	password_hash TEXT    COLLATE "C" NOT NULL,
	generation    BIGINT  NOT NULL,
	created_at    BIGINT,
	disabled      BOOLEAN NOT NULL
);

CREATE TABLE tokens (
	id          TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	hash        BYTEA  NOT NULL UNIQUE,
	user_name   TEXT   COLLATE "C" NOT NULL REFERENCES users (name) ON DELETE CASCADE,
	description TEXT   COLLATE "C" NOT NULL,
	created_at  BIGINT,
	expires_at  BIGINT
);
CREATE INDEX tokens_by_user ON tokens (user_name, id);
CREATE INDEX tokens_by_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE signing_keys (
	id         TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	secret     BYTEA  NOT NULL,
	created_at BIGINT NOT NULL
);
