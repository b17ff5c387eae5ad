-- Who is told what happens in projects, and what was told, or is to be.

-- repository is '' for all of the project, events are words with spaces between, and sealed
-- is the secret that deliveries are signed by, encrypted by a key that is not in this
-- database. failures are deliveries in a row that were given up; set_aside_at is since when
-- nothing is delivered because of them, reason why.
CREATE TABLE webhooks (
	id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	project      TEXT   COLLATE "C" NOT NULL REFERENCES projects (name) ON DELETE CASCADE,
	name         TEXT   COLLATE "C" NOT NULL,
	repository   TEXT   COLLATE "C" NOT NULL,
	url          TEXT   COLLATE "C" NOT NULL,
	events       TEXT   COLLATE "C" NOT NULL,
	sealed       BYTEA  NOT NULL,
	creator      TEXT   COLLATE "C" NOT NULL,
	created_at   BIGINT NOT NULL,
	failures     BIGINT NOT NULL,
	set_aside_at BIGINT,
	reason       TEXT   COLLATE "C" NOT NULL,
	UNIQUE (project, name)
);

-- An event and a webhook that hears of it, written with what has happened. next_at is when
-- it is to be tried, NULL once it is delivered or given up. attempted_at, status, took (in
-- microseconds) and message tell of the last attempt.
CREATE TABLE deliveries (
	id           BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	webhook_id   BIGINT  NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
	event        TEXT    COLLATE "C" NOT NULL,
	repository   TEXT    COLLATE "C" NOT NULL,
	tag          TEXT    COLLATE "C" NOT NULL,
	digest       TEXT    COLLATE "C" NOT NULL,
	actor        TEXT    COLLATE "C" NOT NULL,
	detail       TEXT    COLLATE "C" NOT NULL,
	at           BIGINT  NOT NULL,
	next_at      BIGINT,
	delivered    BOOLEAN NOT NULL,
	attempts     BIGINT  NOT NULL,
	attempted_at BIGINT,
	status       BIGINT  NOT NULL,
	took         BIGINT  NOT NULL,
	message      TEXT    COLLATE "C" NOT NULL
);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, id);
CREATE INDEX deliveries_waiting ON deliveries (webhook_id, repository, id) WHERE next_at IS NOT NULL;
