-- What was seen running in a cluster.

-- Such an image is pinned until that time, and longer when it is seen again.
CREATE TABLE running_images (
	repository_id INTEGER NOT NULL,
	digest        TEXT    NOT NULL,
	seen_at       INTEGER NOT NULL,
	until         INTEGER NOT NULL,
	PRIMARY KEY (repository_id, digest),
	FOREIGN KEY (repository_id, digest) REFERENCES manifest_links (repository_id, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX running_images_by_end ON running_images (until);
