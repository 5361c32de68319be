package worker

import "os"

// A supervisor is started for each container, and the user waits for it. So it branches
// off here, before the packages are set up that only the server needs: Go sets packages
// up in the order of their dependencies, then of their names, and this one needs few.
// That halves what a supervisor takes of time until it works, and of memory.
func init() {
	if len(os.Args) > 2 && os.Args[1] == "worker" && os.Args[2] == "supervise" {
		os.Exit(Supervise(os.Args[3:], os.Stderr))
	}
}
