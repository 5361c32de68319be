package executor

import (
	"fmt"
	"os"

	"github.com/weft-dev/weft"
)

// AttemptsIn lists the attempts of which a driver keeps something in a directory, where
// each has an entry of its name. Other entries are left out.
func AttemptsIn(dir string) ([]weft.Attempt, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list attempts: %w", err)
	}
	as := make([]weft.Attempt, 0, len(entries))
	for _, entry := range entries {
		if a, err := weft.ParseAttempt(entry.Name()); err == nil {
			as = append(as, a)
		}
	}
	return as, nil
}
