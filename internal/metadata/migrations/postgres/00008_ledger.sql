-- What every upstream was asked for, and on whose behalf.

-- A call. counted is true for what upstreams count as a pull by requests, image for what
-- they count by architecture. rate_limit, remaining and rate_window (in microseconds) are
-- what the answer said of the credential's limit, NULL when it said nothing, and source is
-- whom it charged. namespace and workload are those of a cluster.
CREATE TABLE ledger_calls (
	id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at          BIGINT  NOT NULL,
	upstream    TEXT    COLLATE "C" NOT NULL,
	credential  TEXT    COLLATE "C" NOT NULL,
	kind        TEXT    COLLATE "C" NOT NULL,
	repository  TEXT    COLLATE "C" NOT NULL,
	reference   TEXT    COLLATE "C" NOT NULL,
	status      BIGINT  NOT NULL,
	bytes       BIGINT  NOT NULL,
	counted     BOOLEAN NOT NULL,
	image       BOOLEAN NOT NULL,
	rate_limit  BIGINT,
	remaining   BIGINT,
	rate_window BIGINT,
	source      TEXT    COLLATE "C" NOT NULL,
	user_name   TEXT    COLLATE "C" NOT NULL,
	project     TEXT    COLLATE "C" NOT NULL,
	client      TEXT    COLLATE "C" NOT NULL,
	namespace   TEXT    COLLATE "C" NOT NULL,
	workload    TEXT    COLLATE "C" NOT NULL,
	certain     BOOLEAN NOT NULL
);
CREATE INDEX ledger_calls_by_time ON ledger_calls (at);
CREATE INDEX ledger_calls_by_upstream ON ledger_calls (upstream, at);
CREATE INDEX ledger_calls_by_account ON ledger_calls (upstream, credential, source, at) WHERE rate_limit IS NOT NULL;

-- The calls of an hour, summed up: pulls are those that are counted, metered the pulls
-- whose answer told of a limit, images those of one architecture, refused those that were
-- answered 429.
CREATE TABLE ledger_hours (
	hour       BIGINT  NOT NULL,
	upstream   TEXT    COLLATE "C" NOT NULL,
	credential TEXT    COLLATE "C" NOT NULL,
	kind       TEXT    COLLATE "C" NOT NULL,
	repository TEXT    COLLATE "C" NOT NULL,
	user_name  TEXT    COLLATE "C" NOT NULL,
	project    TEXT    COLLATE "C" NOT NULL,
	namespace  TEXT    COLLATE "C" NOT NULL,
	certain    BOOLEAN NOT NULL,
	calls      BIGINT  NOT NULL,
	pulls      BIGINT  NOT NULL,
	metered    BIGINT  NOT NULL,
	images     BIGINT  NOT NULL,
	refused    BIGINT  NOT NULL,
	bytes      BIGINT  NOT NULL,
	PRIMARY KEY (hour, upstream, credential, kind, repository, user_name, project, namespace, certain)
);

-- The lowest level, in percent, that was warned of.
CREATE TABLE ledger_warnings (
	upstream   TEXT    COLLATE "C" NOT NULL,
	credential TEXT    COLLATE "C" NOT NULL,
	source     TEXT    COLLATE "C" NOT NULL,
	level      BIGINT  NOT NULL,
	PRIMARY KEY (upstream, credential, source)
);
