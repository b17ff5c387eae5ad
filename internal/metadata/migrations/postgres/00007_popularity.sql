-- How many images were pulled from a repository, and who has starred it. Whoever the
-- registry knows has a name, though not always a row in users.

ALTER TABLE repositories ADD COLUMN pulls BIGINT NOT NULL DEFAULT 0;

CREATE TABLE stars (
	repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	user_name     TEXT COLLATE "C" NOT NULL,
	created_at    BIGINT NOT NULL,
	PRIMARY KEY (repository_id, user_name)
);
CREATE INDEX stars_by_user ON stars (user_name, repository_id);
