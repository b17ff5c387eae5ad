-- What is kept whatever happens, and what the upstream no longer has.

-- Who pinned it; '' for what was pinned before that was noted.
ALTER TABLE pins ADD COLUMN actor TEXT COLLATE "C" NOT NULL DEFAULT '';

-- A pinned tag pins whatever manifest it names, and stays when there is no such tag any
-- more: it is a wish.
CREATE TABLE pinned_tags (
	repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
	name          TEXT   COLLATE "C" NOT NULL,
	reason        TEXT   COLLATE "C" NOT NULL,
	actor         TEXT   COLLATE "C" NOT NULL,
	created_at    BIGINT NOT NULL,
	PRIMARY KEY (repository_id, name)
);

-- Since when the upstream says that it does not have the tag; NULL while it has.
ALTER TABLE tags ADD COLUMN vanished_at BIGINT;
