// Package charts holds the Helm chart, so that the program prints what the chart makes.
package charts

import (
	"embed"
	"io/fs"
)

//go:embed all:larder
var embedded embed.FS

// Files has the folder larder, which is the chart.
func Files() fs.FS { return embedded }
