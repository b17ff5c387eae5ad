-- Who there is besides users with passwords, what they may do, what projects and
-- repositories are limited to and described as, and who changed what. Columns that are
-- added here have defaults, because an older larder goes on writing rows while replicas
-- are brought up to date one after the other.

-- An account with a project is a service account. One with an issuer logs in there, and
-- subject is its name there; claimed_groups are those that the issuer last told, in JSON.
ALTER TABLE users ADD COLUMN project        TEXT REFERENCES projects (name) ON DELETE CASCADE;
ALTER TABLE users ADD COLUMN issuer         TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN subject        TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN claimed_groups TEXT NOT NULL DEFAULT '[]';
CREATE INDEX users_by_project ON users (project, name) WHERE project IS NOT NULL;
CREATE UNIQUE INDEX users_by_issuer ON users (issuer, subject) WHERE issuer <> '';

CREATE TABLE user_groups (
	name       TEXT    NOT NULL PRIMARY KEY,
	creator    TEXT    NOT NULL,
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE group_members (
	group_name TEXT NOT NULL REFERENCES user_groups (name) ON DELETE CASCADE,
	user_name  TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
	PRIMARY KEY (group_name, user_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_user ON group_members (user_name, group_name);

-- scopes are words with spaces between; none means all that the user may do. targets are
-- the projects and repositories that the token is limited to, in JSON; none means all.
ALTER TABLE tokens ADD COLUMN name    TEXT   NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN scopes  TEXT   NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN targets TEXT   NOT NULL DEFAULT '[]';
ALTER TABLE tokens ADD COLUMN used_at INTEGER;

-- The project is '' for what holds in all of them. rules and subjects are JSON, those of
-- Kubernetes' rbac.authorization.k8s.io/v1.
CREATE TABLE roles (
	project    TEXT   NOT NULL,
	name       TEXT   NOT NULL,
	rules      TEXT   NOT NULL,
	creator    TEXT    NOT NULL,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE role_bindings (
	project    TEXT   NOT NULL,
	name       TEXT   NOT NULL,
	role_kind  TEXT   NOT NULL CHECK (role_kind IN ('Role', 'ClusterRole')),
	role_name  TEXT   NOT NULL,
	subjects   TEXT   NOT NULL,
	creator    TEXT    NOT NULL,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

-- quota is in bytes, 0 for none; immutable_tags are patterns, in JSON.
ALTER TABLE projects ADD COLUMN quota          INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN immutable_tags TEXT   NOT NULL DEFAULT '[]';

-- description is one line, readme is Markdown.
ALTER TABLE repositories ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN readme      TEXT NOT NULL DEFAULT '';

-- A tag that was taken from elsewhere, and how that went: reason is '' when it went well.
CREATE TABLE imports (
	repository_id INTEGER  NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	tag           TEXT    NOT NULL,
	source        TEXT    NOT NULL,
	scheduled     INTEGER NOT NULL CHECK (scheduled IN (0, 1)),
	creator       TEXT    NOT NULL,
	created_at    INTEGER  NOT NULL,
	checked_at    INTEGER,
	imported_at   INTEGER,
	digest        TEXT    NOT NULL,
	reason        TEXT    NOT NULL,
	message       TEXT    NOT NULL,
	PRIMARY KEY (repository_id, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX imports_by_check ON imports (checked_at) WHERE scheduled;

CREATE TABLE audit (
	id      INTEGER PRIMARY KEY,
	at      INTEGER NOT NULL,
	actor   TEXT   NOT NULL,
	address TEXT   NOT NULL,
	action  TEXT   NOT NULL,
	project TEXT   NOT NULL,
	object  TEXT   NOT NULL,
	result  TEXT   NOT NULL,
	detail  TEXT   NOT NULL
) STRICT;
CREATE INDEX audit_by_project ON audit (project, id);
CREATE INDEX audit_by_time ON audit (at);
