-- Who there is besides users with passwords, what they may do, what projects and
-- repositories are limited to and described as, and who changed what. Columns that are
-- added here have defaults, because an older larder goes on writing rows while replicas
-- are brought up to date one after the other.

-- An account with a project is a service account. One with an issuer logs in there, and
-- subject is its name there; claimed_groups are those that the issuer last told, in JSON.
ALTER TABLE users ADD COLUMN project        TEXT COLLATE "C" REFERENCES projects (name) ON DELETE CASCADE;
ALTER TABLE users ADD COLUMN issuer         TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN subject        TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN claimed_groups TEXT COLLATE "C" NOT NULL DEFAULT '[]';
CREATE INDEX users_by_project ON users (project, name) WHERE project IS NOT NULL;
CREATE UNIQUE INDEX users_by_issuer ON users (issuer, subject) WHERE issuer <> '';

CREATE TABLE user_groups (
	name       TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	creator    TEXT   COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL
);

CREATE TABLE group_members (
	group_name TEXT COLLATE "C" NOT NULL REFERENCES user_groups (name) ON DELETE CASCADE,
	user_name  TEXT COLLATE "C" NOT NULL REFERENCES users (name) ON DELETE CASCADE,
	PRIMARY KEY (group_name, user_name)
);
CREATE INDEX group_members_by_user ON group_members (user_name, group_name);

-- scopes are words with spaces between; none means all that the user may do. targets are
-- the projects and repositories that the token is limited to, in JSON; none means all.
ALTER TABLE tokens ADD COLUMN name    TEXT   COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN scopes  TEXT   COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN targets TEXT   COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE tokens ADD COLUMN used_at BIGINT;

-- The project is '' for what holds in all of them. rules and subjects are JSON, those of
-- Kubernetes' rbac.authorization.k8s.io/v1.
CREATE TABLE roles (
	project    TEXT   COLLATE "C" NOT NULL,
	name       TEXT   COLLATE "C" NOT NULL,
	rules      TEXT   COLLATE "C" NOT NULL,
	creator    TEXT   COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (project, name)
);

CREATE TABLE role_bindings (
	project    TEXT   COLLATE "C" NOT NULL,
	name       TEXT   COLLATE "C" NOT NULL,
	role_kind  TEXT   COLLATE "C" NOT NULL CHECK (role_kind IN ('Role', 'ClusterRole')),
	role_name  TEXT   COLLATE "C" NOT NULL,
	subjects   TEXT   COLLATE "C" NOT NULL,
	creator    TEXT   COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (project, name)
);

-- quota is in bytes, 0 for none; immutable_tags are patterns, in JSON.
ALTER TABLE projects ADD COLUMN quota          BIGINT NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN immutable_tags TEXT   COLLATE "C" NOT NULL DEFAULT '[]';

-- description is one line, readme is Markdown.
ALTER TABLE repositories ADD COLUMN description TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN readme      TEXT COLLATE "C" NOT NULL DEFAULT '';

-- A tag that was taken from elsewhere, and how that went: reason is '' when it went well.
CREATE TABLE imports (
	repository_id BIGINT  NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	tag           TEXT    COLLATE "C" NOT NULL,
	source        TEXT    COLLATE "C" NOT NULL,
	scheduled     BOOLEAN NOT NULL,
	creator       TEXT    COLLATE "C" NOT NULL,
	created_at    BIGINT  NOT NULL,
	checked_at    BIGINT,
	imported_at   BIGINT,
	digest        TEXT    COLLATE "C" NOT NULL,
	reason        TEXT    COLLATE "C" NOT NULL,
	message       TEXT    COLLATE "C" NOT NULL,
	PRIMARY KEY (repository_id, tag)
);
CREATE INDEX imports_by_check ON imports (checked_at) WHERE scheduled;

CREATE TABLE audit (
	id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at      BIGINT NOT NULL,
	actor   TEXT   COLLATE "C" NOT NULL,
	address TEXT   COLLATE "C" NOT NULL,
	action  TEXT   COLLATE "C" NOT NULL,
	project TEXT   COLLATE "C" NOT NULL,
	object  TEXT   COLLATE "C" NOT NULL,
	result  TEXT   COLLATE "C" NOT NULL,
	detail  TEXT   COLLATE "C" NOT NULL
);
CREATE INDEX audit_by_project ON audit (project, id);
CREATE INDEX audit_by_time ON audit (at);
