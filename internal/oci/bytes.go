package oci

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size as people read it, with its largest binary unit and, from 1 KiB on, the
// bytes themselves: two sizes that differ never look the same.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	value, names := float64(n)/unit, "KMGTPE"
	for value >= unit && len(names) > 1 {
		value, names = value/unit, names[1:]
	}
	return fmt.Sprintf("%.1f %ciB (%d bytes)", value, names[0], n)
}

// ParseBytes reads a size as people write it, as in 200GiB or 1.5 TB: a number and a
// unit, of at least one byte.
func ParseBytes(text string) (int64, error) {
	units := map[string]float64{
		"B":  1,
		"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}
	digits := strings.TrimRight(text, "KMGTiB ")
	unit, known := units[strings.TrimLeft(text[len(digits):], " ")]
	number, err := strconv.ParseFloat(digits, 64)
	bytes := number * unit
	if !known || err != nil || strings.Trim(digits, "0123456789.") != "" || bytes < 1 || bytes >= math.MaxInt64 {
		return 0, fmt.Errorf("%.64q is not a size: write it with its unit, for example 200GiB", text)
	}
	return int64(bytes), nil
}
