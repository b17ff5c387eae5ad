-- Credentials for upstreams that were added in flight, and to whom upstreams have shown
-- repositories.

-- project is empty for a credential that serves everybody. sealed is the password,
-- encrypted by a key that is not in this database.
CREATE TABLE upstream_credentials (
	upstream   TEXT COLLATE "C" NOT NULL,
	project    TEXT COLLATE "C" NOT NULL,
	username   TEXT COLLATE "C" NOT NULL,
	sealed     BYTEA  NOT NULL,
	creator    TEXT COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (upstream, project, username)
);

-- Whether an upstream showed a repository to an audience: to a project's own credentials,
-- or to those that serve everybody. A repository with a row of a project's may hold what
-- only that project's credentials could fetch.
CREATE TABLE repository_audiences (
	repository_id BIGINT  NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	audience      TEXT COLLATE "C" NOT NULL,
	shown         BOOLEAN NOT NULL,
	checked_at    BIGINT  NOT NULL,
	PRIMARY KEY (repository_id, audience)
);
