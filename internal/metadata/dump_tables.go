package metadata

import (
	"slices"
	"strings"
)

// cellKind is what a column holds, in the words of a dump.
type cellKind int

const (
	textCell cellKind = iota
	integerCell
	booleanCell
	bytesCell
	// placeCell is a text that says where bytes are kept, not what is kept.
	placeCell
)

// dumpColumn is a column and the version of the schema that brought it. What a later
// version brings is NULL, or has a default, where an older dump does not tell it.
type dumpColumn struct {
	name  string
	kind  cellKind
	since int64
}

// dumpTable is a table as it is dumped: its rows in the order of its key, so that
// the same content makes the same bytes whatever database holds it.
type dumpTable struct {
	name    string
	key     string
	counted bool // the database counts its ids up
	since   int64
	columns []dumpColumn
}

// dumpTables are the tables of a dump, in an order in which foreign keys hold.
func dumpTables() []dumpTable { return slices.Concat(imageTables(), accountTables(), doingTables()) }

// imageTables are projects and what is in them.
func imageTables() []dumpTable {
	return []dumpTable{
		{name: "projects", key: "name", since: 1, columns: []dumpColumn{
			{"name", textCell, 1}, {"kind", textCell, 1}, {"description", textCell, 1}, {"creator", textCell, 1}, {"created_at", integerCell, 1},
			{"quota", integerCell, 3}, {"immutable_tags", textCell, 3},
		}},
		{name: "repositories", key: "id", counted: true, since: 1, columns: []dumpColumn{
			{"id", integerCell, 1}, {"name", textCell, 1}, {"project", textCell, 1}, {"public", booleanCell, 1},
			{"visibility_checked_at", integerCell, 1}, {"created_at", integerCell, 1},
			{"description", textCell, 3}, {"readme", textCell, 3}, {"pulls", integerCell, 7},
			{"local_lookup", booleanCell, 14},
		}},
		{name: "stars", key: "repository_id, user_name", since: 7, columns: []dumpColumn{
			{"repository_id", integerCell, 7}, {"user_name", textCell, 7}, {"created_at", integerCell, 7},
		}},
		{name: "repository_audiences", key: "repository_id, audience", since: 9, columns: []dumpColumn{
			{"repository_id", integerCell, 9}, {"audience", textCell, 9}, {"shown", booleanCell, 9}, {"checked_at", integerCell, 9},
		}},
		{name: "manifests", key: "digest", since: 1, columns: []dumpColumn{{"digest", textCell, 1}, {"content", bytesCell, 1}}},
		{name: "manifest_links", key: "repository_id, digest", since: 1, columns: []dumpColumn{
			{"repository_id", integerCell, 1}, {"digest", textCell, 1}, {"media_type", textCell, 1}, {"subject", textCell, 1},
			{"artifact_type", textCell, 1}, {"pushed_at", integerCell, 2}, {"pulled_at", integerCell, 2},
		}},
		{name: "tags", key: "repository_id, name", since: 1, columns: []dumpColumn{
			{"repository_id", integerCell, 1}, {"name", textCell, 1}, {"digest", textCell, 1}, {"updated_at", integerCell, 1}, {"checked_at", integerCell, 1},
			{"vanished_at", integerCell, 11},
		}},
		{name: "tag_history", key: "id", counted: true, since: 1, columns: []dumpColumn{
			{"id", integerCell, 1}, {"repository_id", integerCell, 1}, {"name", textCell, 1}, {"digest", textCell, 1}, {"moved_at", integerCell, 1}, {"actor", textCell, 1},
		}},
		{name: blobTable, key: "digest", since: 1, columns: []dumpColumn{
			{"digest", textCell, 1}, {"storage_key", placeCell, 1}, {"size", integerCell, 1}, {"stored_at", integerCell, 2}, {"verified_at", integerCell, 2},
		}},
		{name: "blob_links", key: "repository_id, digest", since: 1, columns: []dumpColumn{
			{"repository_id", integerCell, 1}, {"digest", textCell, 1}, {"used_at", integerCell, 2},
		}},
		{name: "damaged_blobs", key: "digest", since: 2, columns: []dumpColumn{
			{"digest", textCell, 2}, {"storage_key", placeCell, 2}, {"size", integerCell, 2}, {"reason", textCell, 2}, {"found_at", integerCell, 2},
		}},
		{name: "pins", key: "repository_id, digest", since: 2, columns: []dumpColumn{
			{"repository_id", integerCell, 2}, {"digest", textCell, 2}, {"reason", textCell, 2}, {"created_at", integerCell, 2},
			{"actor", textCell, 11},
		}},
		{name: "pinned_tags", key: "repository_id, name", since: 11, columns: []dumpColumn{
			{"repository_id", integerCell, 11}, {"name", textCell, 11}, {"reason", textCell, 11}, {"actor", textCell, 11}, {"created_at", integerCell, 11},
		}},
		{name: "retention", key: "project", since: 2, columns: []dumpColumn{
			{"project", textCell, 2}, {"rules", textCell, 2}, {"updated_at", integerCell, 2}, {"actor", textCell, 2},
		}},
	}
}

// accountTables are who there is and what they may.
func accountTables() []dumpTable {
	return []dumpTable{
		{name: "users", key: "name", since: 1, columns: []dumpColumn{
			{"name", textCell, 1}, {"password_hash", textCell, 1}, {"generation", integerCell, 1}, {"created_at", integerCell, 1}, {"disabled", booleanCell, 1},
			{"project", textCell, 3}, {"issuer", textCell, 3}, {"subject", textCell, 3}, {"claimed_groups", textCell, 3},
			{"claimed_until", integerCell, 5},
		}},
		{name: "user_groups", key: "name", since: 3, columns: []dumpColumn{
			{"name", textCell, 3}, {"creator", textCell, 3}, {"created_at", integerCell, 3},
		}},
		{name: "group_members", key: "group_name, user_name", since: 3, columns: []dumpColumn{
			{"group_name", textCell, 3}, {"user_name", textCell, 3},
		}},
		{name: "tokens", key: "id", since: 1, columns: []dumpColumn{
			{"id", textCell, 1}, {"hash", bytesCell, 1}, {"user_name", textCell, 1}, {"description", textCell, 1}, {"created_at", integerCell, 1}, {"expires_at", integerCell, 1},
			{"name", textCell, 3}, {"scopes", textCell, 3}, {"targets", textCell, 3}, {"used_at", integerCell, 3},
		}},
		{name: "roles", key: "project, name", since: 3, columns: []dumpColumn{
			{"project", textCell, 3}, {"name", textCell, 3}, {"rules", textCell, 3}, {"creator", textCell, 3}, {"created_at", integerCell, 3},
		}},
		{name: "role_bindings", key: "project, name", since: 3, columns: []dumpColumn{
			{"project", textCell, 3}, {"name", textCell, 3}, {"role_kind", textCell, 3}, {"role_name", textCell, 3},
			{"subjects", textCell, 3}, {"creator", textCell, 3}, {"created_at", integerCell, 3},
		}},
	}
}

// doingTables are what is done by order, what was done, and the keys for it.
func doingTables() []dumpTable {
	return []dumpTable{
		{name: "imports", key: "repository_id, tag", since: 3, columns: []dumpColumn{
			{"repository_id", integerCell, 3}, {"tag", textCell, 3}, {"source", textCell, 3}, {"scheduled", booleanCell, 3},
			{"creator", textCell, 3}, {"created_at", integerCell, 3}, {"checked_at", integerCell, 3}, {"imported_at", integerCell, 3},
			{"digest", textCell, 3}, {"reason", textCell, 3}, {"message", textCell, 3},
			{"member_at", integerCell, 15},
		}},
		{name: "audit", key: "id", counted: true, since: 3, columns: []dumpColumn{
			{"id", integerCell, 3}, {"at", integerCell, 3}, {"actor", textCell, 3}, {"address", textCell, 3}, {"action", textCell, 3},
			{"project", textCell, 3}, {"object", textCell, 3}, {"result", textCell, 3}, {"detail", textCell, 3},
		}},
		{name: "ledger_hours", key: "hour, upstream, credential, kind, repository, user_name, project, namespace, certain", since: 8, columns: []dumpColumn{
			{"hour", integerCell, 8}, {"upstream", textCell, 8}, {"credential", textCell, 8}, {"kind", textCell, 8}, {"repository", textCell, 8},
			{"user_name", textCell, 8}, {"project", textCell, 8}, {"namespace", textCell, 8}, {"certain", booleanCell, 8}, {"calls", integerCell, 8},
			{"pulls", integerCell, 8}, {"metered", integerCell, 8}, {"images", integerCell, 8}, {"refused", integerCell, 8}, {"bytes", integerCell, 8},
		}},
		{name: "upstream_credentials", key: "upstream, project, username", since: 9, columns: []dumpColumn{
			{"upstream", textCell, 9}, {"project", textCell, 9}, {"username", textCell, 9}, {"sealed", bytesCell, 9},
			{"creator", textCell, 9}, {"created_at", integerCell, 9}, {"updated_at", integerCell, 9},
		}},
		{name: "webhooks", key: "id", counted: true, since: 12, columns: []dumpColumn{
			{"id", integerCell, 12}, {"project", textCell, 12}, {"name", textCell, 12}, {"repository", textCell, 12}, {"url", textCell, 12},
			{"events", textCell, 12}, {"sealed", bytesCell, 12}, {"creator", textCell, 12}, {"created_at", integerCell, 12},
			{"failures", integerCell, 12}, {"set_aside_at", integerCell, 12}, {"reason", textCell, 12},
		}},
		{name: "deliveries", key: "id", counted: true, since: 12, columns: []dumpColumn{
			{"id", integerCell, 12}, {"webhook_id", integerCell, 12}, {"event", textCell, 12}, {"repository", textCell, 12}, {"tag", textCell, 12},
			{"digest", textCell, 12}, {"actor", textCell, 12}, {"detail", textCell, 12}, {"at", integerCell, 12}, {"next_at", integerCell, 12},
			{"delivered", booleanCell, 12}, {"attempts", integerCell, 12}, {"attempted_at", integerCell, 12}, {"status", integerCell, 12},
			{"took", integerCell, 12}, {"message", textCell, 12},
		}},
		{name: "signing_keys", key: "id", since: 1, columns: []dumpColumn{
			{"id", textCell, 1}, {"secret", bytesCell, 1}, {"created_at", integerCell, 1},
		}},
	}
}

// blobTable is the table whose rows say where blobs are.
const blobTable = "blobs"

// underWay are the tables of what is under way, which another database or storage could
// not take up.
func underWay() []string { return []string{"leases", "multiparts", "orphans", "uploads"} }

// undumped are the tables that no dump has: what is under way; what limits count, which
// matters for hours; failures, which are explained for days; what runs in a cluster, which
// is seen again; and of the ledger all but the sums. Single calls would make a backup many
// times as large, and what an account has left is told anew by the next answer.
func undumped() []string {
	return append(underWay(), "failures", "ledger_calls", "ledger_warnings", "limit_counters", "running_images")
}

// at is the table as a version of the schema has it.
func (t dumpTable) at(version int64) dumpTable {
	all := t.columns
	t.columns = nil
	for _, c := range all {
		if c.since <= version {
			t.columns = append(t.columns, c)
		}
	}
	return t
}

func (t dumpTable) names() []string {
	names := make([]string, 0, len(t.columns))
	for _, c := range t.columns {
		names = append(names, c.name)
	}
	return names
}

func (t dumpTable) query() string {
	return "SELECT " + strings.Join(t.names(), ", ") + " FROM " + t.name + " ORDER BY " + t.key
}
