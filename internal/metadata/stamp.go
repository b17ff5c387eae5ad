package metadata

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"
)

// stamp is a time as a column keeps it: microseconds since 1970, NULL for the zero
// time.
type stamp struct{ time.Time }

// Value implements driver.Valuer.
func (s stamp) Value() (driver.Value, error) {
	if s.IsZero() {
		return nil, nil
	}
	return s.UnixMicro(), nil
}

// scanStamp is where a query puts a column that was written as a stamp.
type scanStamp struct{ to *time.Time }

// Scan implements sql.Scanner.
func (s scanStamp) Scan(src any) error {
	var micros sql.NullInt64
	if err := micros.Scan(src); err != nil {
		return fmt.Errorf("reading a time: %w", err)
	}
	*s.to = time.Time{}
	if micros.Valid {
		*s.to = time.UnixMicro(micros.Int64).UTC()
	}
	return nil
}
