package oci

import (
	"fmt"
	"math/big"
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

// longestSize bounds what is read as a size, in bytes.
const longestSize = 64

// ParseSize reads a size as people write it, as in 200GiB or 1.5 TB, and returns its
// bytes: a number and a unit of powers of 1024 (KiB to TiB) or 1000 (KB to TB), with a
// space between or not. It is at least one byte, and part of a byte is dropped.
func ParseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGTiB ")
	unit, known := sizeUnit(strings.TrimLeft(text[len(digits):], " "))
	bytes, isNumber := new(big.Rat), len(text) <= longestSize && strings.Trim(digits, "0123456789.") == ""
	if isNumber {
		_, isNumber = bytes.SetString(digits)
	}
	if isNumber && known {
		whole := new(big.Int).Quo(bytes.Mul(bytes, new(big.Rat).SetInt64(unit)).Num(), bytes.Denom())
		if whole.IsInt64() && whole.Sign() > 0 {
			return whole.Int64(), nil
		}
	}
	return 0, fmt.Errorf("%.64q is not a size: write it with its unit, for example 200GiB", text)
}

func sizeUnit(name string) (bytes int64, known bool) {
	switch name {
	case "B":
		return 1, true
	case "KB":
		return 1e3, true
	case "MB":
		return 1e6, true
	case "GB":
		return 1e9, true
	case "TB":
		return 1e12, true
	case "KiB":
		return 1 << 10, true
	case "MiB":
		return 1 << 20, true
	case "GiB":
		return 1 << 30, true
	case "TiB":
		return 1 << 40, true
	}
	return 0, false
}
