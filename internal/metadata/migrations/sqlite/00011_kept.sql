-- What is kept whatever happens, and what the upstream no longer has.

-- Who pinned it; '' for what was pinned before that was noted.
ALTER TABLE pins ADD COLUMN actor TEXT NOT NULL DEFAULT '';

-- A pinned tag pins whatever manifest it names, and stays when there is no such tag any
-- more: it is a wish.
CREATE TABLE pinned_tags (
	repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	name          TEXT    NOT NULL,
	reason        TEXT    NOT NULL,
	actor         TEXT    NOT NULL,
	created_at    INTEGER NOT NULL,
	PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;

-- Since when the upstream says that it does not have the tag; NULL while it has.
ALTER TABLE tags ADD COLUMN vanished_at INTEGER;
