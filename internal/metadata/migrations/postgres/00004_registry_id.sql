-- What tells this database from every other one. No dump has it: a database that is
-- filled from a dump is another.

CREATE TABLE registry_id (
	one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
	id  TEXT   COLLATE "C" NOT NULL
);
