-- What was refused or served stale by a cache project, and why.

-- A failure, and how often it came again. asked is the name as the client wrote it, rule
-- what decided, code and status the answer's own (0 and '' for a stale copy), upstream_kind,
-- upstream_status and upstream_text what the upstream said, digest and age (in
-- microseconds) those of the copy that was served in place of the upstream's.
CREATE TABLE failures (
	id              TEXT    PRIMARY KEY,
	first_at        INTEGER NOT NULL,
	last_at         INTEGER NOT NULL,
	count           INTEGER NOT NULL,
	repository      TEXT    NOT NULL,
	asked           TEXT    NOT NULL,
	kind            TEXT    NOT NULL,
	reference       TEXT    NOT NULL,
	user_name       TEXT    NOT NULL,
	client          TEXT    NOT NULL,
	rule            TEXT    NOT NULL,
	code            TEXT    NOT NULL,
	status          INTEGER NOT NULL,
	message         TEXT    NOT NULL,
	credential      TEXT    NOT NULL,
	upstream_kind   TEXT    NOT NULL,
	upstream_status INTEGER NOT NULL,
	upstream_text   TEXT    NOT NULL,
	digest          TEXT    NOT NULL,
	age             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX failures_by_time ON failures (last_at);
CREATE INDEX failures_by_user ON failures (user_name, last_at);
