-- Credentials for upstreams that were added in flight, and to whom upstreams have shown
-- repositories.

-- project is empty for a credential that serves everybody. sealed is the password,
-- encrypted by a key that is not in this database.
CREATE TABLE upstream_credentials (
	upstream   TEXT    NOT NULL,
	project    TEXT    NOT NULL,
	username   TEXT    NOT NULL,
	sealed     BLOB    NOT NULL,
	creator    TEXT    NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (upstream, project, username)
) STRICT, WITHOUT ROWID;

-- Whether an upstream showed a repository to an audience: to a project's own credentials,
-- or to those that serve everybody. A repository with a row of a project's may hold what
-- only that project's credentials could fetch.
CREATE TABLE repository_audiences (
	repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	audience      TEXT    NOT NULL,
	shown         INTEGER NOT NULL CHECK (shown IN (0, 1)),
	checked_at    INTEGER NOT NULL,
	PRIMARY KEY (repository_id, audience)
) STRICT, WITHOUT ROWID;
