package metadata

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// connectTimeout bounds the time that one attempt to connect to one host takes.
const connectTimeout = 10 * time.Second

// errPostgresURL quotes nothing of the URL: where a URL is malformed, nobody can
// tell what of it is the password.
var errPostgresURL = errors.New("the database URL is malformed: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with each of the signs @ / : ? # % in the password percent-encoded (@ is %40, / is %2F)")

// parsePostgresURL reads a URL of PostgreSQL. Its errors do not contain the password.
func parsePostgresURL(databaseURL string) (*pgx.ConnConfig, error) {
	scheme, rest, _ := strings.Cut(databaseURL, "://")
	if scheme != "postgres" && scheme != "postgresql" {
		return nil, errPostgresURL
	}
	// The one @ ends the password. With a second, or one after the authority's end
	// (RFC 3986, §3.2), part of the password would be taken for a name and printed.
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	if signs := strings.Count(rest, "@"); signs > 1 || signs != strings.Count(authority, "@") {
		return nil, errPostgresURL
	}
	if u, err := url.Parse(databaseURL); err != nil || u.Fragment != "" {
		return nil, errPostgresURL
	}
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, parameterError(err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"application_name":                    "larder",
		"idle_in_transaction_session_timeout": milliseconds(abandonedTransaction),
	} {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// parameterError is what was wrong with a well-formed URL, without the URL.
func parameterError(err error) error {
	if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		if cause := parse.Unwrap(); cause != nil {
			return errors.New("the database URL has a parameter that cannot be used: " + cause.Error())
		}
	}
	return errors.New("the database URL has a parameter that cannot be used: see https://www.postgresql.org/docs/current/libpq-connect.html for those that there are")
}

// postgresName names a database without saying who opens it.
func postgresName(config *pgx.ConnConfig) string {
	name := url.URL{Scheme: "postgres", Path: "/" + config.Database}
	if strings.HasPrefix(config.Host, "/") {
		name.RawQuery = "host=" + config.Host
	} else {
		name.Host = net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	}
	return name.String()
}

// CheckPostgresURL tells what is wrong with a URL that OpenPostgres would refuse
// without connecting. The error does not contain the password.
func CheckPostgresURL(databaseURL string) error {
	_, err := parsePostgresURL(databaseURL)
	return err
}
