-- What every upstream was asked for, and on whose behalf.

-- A call. counted is true for what upstreams count as a pull by requests, image for what
-- they count by architecture. rate_limit, remaining and rate_window (in microseconds) are
-- what the answer said of the credential's limit, NULL when it said nothing, and source is
-- whom it charged. namespace and workload are those of a cluster.
CREATE TABLE ledger_calls (
	id          INTEGER PRIMARY KEY,
	at          INTEGER NOT NULL,
	upstream    TEXT    NOT NULL,
	credential  TEXT    NOT NULL,
	kind        TEXT    NOT NULL,
	repository  TEXT    NOT NULL,
	reference   TEXT    NOT NULL,
	status      INTEGER NOT NULL,
	bytes       INTEGER NOT NULL,
	counted     INTEGER NOT NULL CHECK (counted IN (0, 1)),
	image       INTEGER NOT NULL CHECK (image IN (0, 1)),
	rate_limit  INTEGER,
	remaining   INTEGER,
	rate_window INTEGER,
	source      TEXT    NOT NULL,
	user_name   TEXT    NOT NULL,
	project     TEXT    NOT NULL,
	client      TEXT    NOT NULL,
	namespace   TEXT    NOT NULL,
	workload    TEXT    NOT NULL,
	certain     INTEGER NOT NULL CHECK (certain IN (0, 1))
) STRICT;
CREATE INDEX ledger_calls_by_time ON ledger_calls (at);
CREATE INDEX ledger_calls_by_upstream ON ledger_calls (upstream, at);
CREATE INDEX ledger_calls_by_account ON ledger_calls (upstream, credential, source, at) WHERE rate_limit IS NOT NULL;

-- The calls of an hour, summed up: pulls are those that are counted, metered the pulls
-- whose answer told of a limit, images those of one architecture, refused those that were
-- answered 429.
CREATE TABLE ledger_hours (
	hour       INTEGER NOT NULL,
	upstream   TEXT    NOT NULL,
	credential TEXT    NOT NULL,
	kind       TEXT    NOT NULL,
	repository TEXT    NOT NULL,
	user_name  TEXT    NOT NULL,
	project    TEXT    NOT NULL,
	namespace  TEXT    NOT NULL,
	certain    INTEGER NOT NULL CHECK (certain IN (0, 1)),
	calls      INTEGER NOT NULL,
	pulls      INTEGER NOT NULL,
	metered    INTEGER NOT NULL,
	images     INTEGER NOT NULL,
	refused    INTEGER NOT NULL,
	bytes      INTEGER NOT NULL,
	PRIMARY KEY (hour, upstream, credential, kind, repository, user_name, project, namespace, certain)
) STRICT, WITHOUT ROWID;

-- The lowest level, in percent, that was warned of.
CREATE TABLE ledger_warnings (
	upstream   TEXT    NOT NULL,
	credential TEXT    NOT NULL,
	source     TEXT    NOT NULL,
	level      INTEGER NOT NULL,
	PRIMARY KEY (upstream, credential, source)
) STRICT, WITHOUT ROWID;
