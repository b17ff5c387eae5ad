-- Whether short names in pods mean a repository of the project that is called like the
-- pod's namespace.

ALTER TABLE repositories ADD COLUMN local_lookup BOOLEAN NOT NULL DEFAULT FALSE;
