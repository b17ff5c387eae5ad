package server

import "strings"

// nearest is the candidate that a person most likely meant by name: the same but
// for case and separators, or at most two slips away. Empty when there is none.
func nearest(name string, candidates []string) string {
	const most = 2
	folded := fold(name)
	if len(folded) > 64 {
		return ""
	}
	best, found := most+1, ""
	for _, c := range candidates {
		d := distance(folded, fold(c))
		if d < best && d < len(folded) {
			best, found = d, c
		}
	}
	return found
}

func fold(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

// distance is the number of letters to insert, delete or replace that turns a
// into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}
