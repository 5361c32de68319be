package cli

import (
	"slices"
	"strings"
)

// formerFields are names that Knitfab's guides use for fields, wrongly.
var formerFields = map[string]string{"logs": "log", "annotation": "annotations", "resource": "resources", "command": "entrypoint"}

// nearestWord returns the word that s is most likely a misspelling of, or "".
func nearestWord(s string, words []string) string {
	if right, ok := formerFields[s]; ok && slices.Contains(words, right) {
		return right
	}
	best, least := "", 1+len(s)/3
	for _, w := range words {
		if d := editDistance(strings.ToLower(strings.ReplaceAll(s, "-", "_")), w); d <= least {
			best, least = w, d-1
		}
	}
	return best
}

// editDistance is the number of characters to change, add or leave out.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
