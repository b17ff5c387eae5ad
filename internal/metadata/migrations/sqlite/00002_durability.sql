-- What the collector, the evictor, fsck and several replicas go by. Columns that are
-- added here are NULL where an older larder wrote the row, which goes on writing
-- while replicas are brought up to date one after the other.

-- stored_at is when the bytes were last stored, verified_at when they were last read
-- back whole and found good.
ALTER TABLE blobs ADD COLUMN stored_at   INTEGER;
ALTER TABLE blobs ADD COLUMN verified_at INTEGER;
CREATE INDEX blobs_by_key ON blobs (storage_key);

-- used_at is when somebody was last told that the blob is in the repository: what is
-- referred to by no manifest is kept for a while after that.
ALTER TABLE blob_links ADD COLUMN used_at INTEGER;

-- pushed_at is when the manifest was last pushed or fetched, pulled_at when it was
-- last pulled; the latter may lag by seconds.
ALTER TABLE manifest_links ADD COLUMN pushed_at INTEGER;
ALTER TABLE manifest_links ADD COLUMN pulled_at INTEGER;

-- A pinned manifest is neither evicted nor retired, nor is what it refers to.
CREATE TABLE pins (
	repository_id INTEGER NOT NULL,
	digest        TEXT    NOT NULL,
	reason        TEXT    NOT NULL,
	created_at    INTEGER NOT NULL,
	PRIMARY KEY (repository_id, digest),
	FOREIGN KEY (repository_id, digest) REFERENCES manifest_links (repository_id, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- rules is JSON. A project without a row keeps everything.
CREATE TABLE retention (
	project    TEXT    NOT NULL PRIMARY KEY REFERENCES projects (name) ON DELETE CASCADE,
	rules      TEXT    NOT NULL,
	updated_at INTEGER NOT NULL,
	actor      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Hosted blobs whose bytes were found damaged or gone; the row goes when the bytes are
-- pushed again.
CREATE TABLE damaged_blobs (
	digest      TEXT    NOT NULL PRIMARY KEY,
	storage_key TEXT    NOT NULL,
	size        INTEGER NOT NULL,
	reason      TEXT    NOT NULL,
	found_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A lease belongs to its holder until it expires; address is where others reach it.
CREATE TABLE leases (
	name       TEXT    NOT NULL PRIMARY KEY,
	holder     TEXT    NOT NULL,
	address    TEXT    NOT NULL,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Multipart uploads that object storage was asked to begin: under which key of a blob,
-- the id that it gave, empty until it has answered, and when the key was last noted.
CREATE TABLE multiparts (
	storage_key TEXT    NOT NULL PRIMARY KEY,
	upload_id   TEXT    NOT NULL,
	noted_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Bytes in storage that no row leads to: since when, and when they were last seen so.
CREATE TABLE orphans (
	storage_key  TEXT    NOT NULL PRIMARY KEY,
	seen_at      INTEGER NOT NULL,
	last_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
