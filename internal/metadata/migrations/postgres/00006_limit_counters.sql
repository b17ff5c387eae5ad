-- How often pulls were made that limits count, as each process has counted them: its
-- holder. Only the process and those that share the database read what a count holds.

CREATE TABLE limit_counters (
	subject    TEXT   COLLATE "C" NOT NULL,
	holder     TEXT   COLLATE "C" NOT NULL,
	content    BYTEA  NOT NULL,
	changed_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (subject, holder)
);
CREATE INDEX limit_counters_by_change ON limit_counters (changed_at);
CREATE INDEX limit_counters_by_expiry ON limit_counters (expires_at);
