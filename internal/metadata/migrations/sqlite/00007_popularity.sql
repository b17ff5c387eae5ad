-- How many images were pulled from a repository, and who has starred it. Whoever the
-- registry knows has a name, though not always a row in users.

ALTER TABLE repositories ADD COLUMN pulls INTEGER NOT NULL DEFAULT 0;

CREATE TABLE stars (
	repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	user_name     TEXT    NOT NULL,
	created_at    INTEGER NOT NULL,
	PRIMARY KEY (repository_id, user_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX stars_by_user ON stars (user_name, repository_id);
