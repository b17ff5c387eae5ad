package oci

import "fmt"

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
