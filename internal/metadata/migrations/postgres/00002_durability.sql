-- What the collector, the evictor, fsck and several replicas go by. Columns that are
-- added here are NULL where an older larder wrote the row, which goes on writing
-- while replicas are brought up to date one after the other.

-- stored_at is when the bytes were last stored, verified_at when they were last read
-- back whole and found good.
ALTER TABLE blobs ADD COLUMN stored_at   BIGINT;
ALTER TABLE blobs ADD COLUMN verified_at BIGINT;
CREATE INDEX blobs_by_key ON blobs (storage_key);

-- used_at is when somebody was last told that the blob is in the repository: what is
-- referred to by no manifest is kept for a while after that.
ALTER TABLE blob_links ADD COLUMN used_at BIGINT;

-- pushed_at is when the manifest was last pushed or fetched, pulled_at when it was
-- last pulled; the latter may lag by seconds.
ALTER TABLE manifest_links ADD COLUMN pushed_at BIGINT;
ALTER TABLE manifest_links ADD COLUMN pulled_at BIGINT;

-- A pinned manifest is neither evicted nor retired, nor is what it refers to.
CREATE TABLE pins (
	repository_id BIGINT NOT NULL,
	digest        TEXT   COLLATE "C" NOT NULL,
	reason        TEXT   COLLATE "C" NOT NULL,
	created_at    BIGINT NOT NULL,
	PRIMARY KEY (repository_id, digest),
	FOREIGN KEY (repository_id, digest) REFERENCES manifest_links (repository_id, digest) ON DELETE CASCADE
);

-- rules is JSON. A project without a row keeps everything.
CREATE TABLE retention (
	project    TEXT   COLLATE "C" NOT NULL PRIMARY KEY REFERENCES projects (name) ON DELETE CASCADE,
	rules      TEXT   COLLATE "C" NOT NULL,
	updated_at BIGINT NOT NULL,
	actor      TEXT   COLLATE "C" NOT NULL
);

-- Hosted blobs whose bytes were found damaged or gone; the row goes when the bytes are
-- pushed again.
CREATE TABLE damaged_blobs (
	digest      TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	storage_key TEXT   COLLATE "C" NOT NULL,
	size        BIGINT NOT NULL,
	reason      TEXT   COLLATE "C" NOT NULL,
	found_at    BIGINT NOT NULL
);

-- A lease belongs to its holder until it expires; address is where others reach it.
CREATE TABLE leases (
	name       TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	holder     TEXT   COLLATE "C" NOT NULL,
	address    TEXT   COLLATE "C" NOT NULL,
	expires_at BIGINT NOT NULL
);

-- Multipart uploads that object storage was asked to begin: under which key of a blob,
-- the id that it gave, empty until it has answered, and when the key was last noted.
CREATE TABLE multiparts (
	storage_key TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	upload_id   TEXT   COLLATE "C" NOT NULL,
	noted_at    BIGINT NOT NULL
);

-- Bytes in storage that no row leads to: since when, and when they were last seen so.
CREATE TABLE orphans (
	storage_key  TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	seen_at      BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL
);
