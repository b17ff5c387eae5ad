-- Who is told what happens in projects, and what was told, or is to be.

-- repository is '' for all of the project, events are words with spaces between, and sealed
-- is the secret that deliveries are signed by, encrypted by a key that is not in this
-- database. failures are deliveries in a row that were given up; set_aside_at is since when
-- nothing is delivered because of them, reason why.
CREATE TABLE webhooks (
	id           INTEGER PRIMARY KEY,
	project      TEXT    NOT NULL REFERENCES projects (name) ON DELETE CASCADE,
	name         TEXT    NOT NULL,
	repository   TEXT    NOT NULL,
	url          TEXT    NOT NULL,
	events       TEXT    NOT NULL,
	sealed       BLOB    NOT NULL,
	creator      TEXT    NOT NULL,
	created_at   INTEGER NOT NULL,
	failures     INTEGER NOT NULL,
	set_aside_at INTEGER,
	reason       TEXT    NOT NULL,
	UNIQUE (project, name)
) STRICT;

-- An event and a webhook that hears of it, written with what has happened. next_at is when
-- it is to be tried, NULL once it is delivered or given up. attempted_at, status, took (in
-- microseconds) and message tell of the last attempt.
CREATE TABLE deliveries (
	id           INTEGER PRIMARY KEY,
	webhook_id   INTEGER NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
	event        TEXT    NOT NULL,
	repository   TEXT    NOT NULL,
	tag          TEXT    NOT NULL,
	digest       TEXT    NOT NULL,
	actor        TEXT    NOT NULL,
	detail       TEXT    NOT NULL,
	at           INTEGER NOT NULL,
	next_at      INTEGER,
	delivered    INTEGER NOT NULL CHECK (delivered IN (0, 1)),
	attempts     INTEGER NOT NULL,
	attempted_at INTEGER,
	status       INTEGER NOT NULL,
	took         INTEGER NOT NULL,
	message      TEXT    NOT NULL
) STRICT;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, id);
CREATE INDEX deliveries_waiting ON deliveries (webhook_id, repository, id) WHERE next_at IS NOT NULL;
