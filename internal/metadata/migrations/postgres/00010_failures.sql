-- What was refused or served stale by a cache project, and why.

-- A failure, and how often it came again. asked is the name as the client wrote it, rule
-- what decided, code and status the answer's own (0 and '' for a stale copy), upstream_kind,
-- upstream_status and upstream_text what the upstream said, digest and age (in
-- microseconds) those of the copy that was served in place of the upstream's.
CREATE TABLE failures (
	id              TEXT   COLLATE "C" PRIMARY KEY,
	first_at        BIGINT NOT NULL,
	last_at         BIGINT NOT NULL,
	count           BIGINT NOT NULL,
	repository      TEXT   COLLATE "C" NOT NULL,
	asked           TEXT   COLLATE "C" NOT NULL,
	kind            TEXT   COLLATE "C" NOT NULL,
	reference       TEXT   COLLATE "C" NOT NULL,
	user_name       TEXT   COLLATE "C" NOT NULL,
	client          TEXT   COLLATE "C" NOT NULL,
	rule            TEXT   COLLATE "C" NOT NULL,
	code            TEXT   COLLATE "C" NOT NULL,
	status          BIGINT NOT NULL,
	message         TEXT   COLLATE "C" NOT NULL,
	credential      TEXT   COLLATE "C" NOT NULL,
	upstream_kind   TEXT   COLLATE "C" NOT NULL,
	upstream_status BIGINT NOT NULL,
	upstream_text   TEXT   COLLATE "C" NOT NULL,
	digest          TEXT   COLLATE "C" NOT NULL,
	age             BIGINT NOT NULL
);
CREATE INDEX failures_by_time ON failures (last_at);
CREATE INDEX failures_by_user ON failures (user_name, last_at);
