package blob

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// RemoveStrayUploads removes the uploads that none of the states, as Save returned
// them, names: those that were running in a process that was killed. It tells how many
// they were. No upload may be running.
func (s *Files) RemoveStrayUploads(_ context.Context, saved [][]byte) (removed int, err error) {
	named := make(map[string]bool, len(saved))
	for _, text := range saved {
		var state uploadState
		if err := json.Unmarshal(text, &state); err != nil {
			return 0, fmt.Errorf("removing stray uploads: reading the state of a saved one: %w", err)
		}
		named[state.File] = true
	}
	removed, err = removeStrays(s.uploads, named)
	if err != nil {
		return removed, fmt.Errorf("removing stray uploads: %w", err)
	}
	return removed, nil
}

// removeStrays removes the files that are not named. It removes only what carries a
// name of ours: the folder may hold what somebody else has put there.
func removeStrays(folder string, named map[string]bool) (removed int, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !randomName(entry.Name()) || named[entry.Name()] {
			continue
		}
		if err := remove(filepath.Join(folder, entry.Name())); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
