package worker

import "os"

// A supervisor, or in a container that an engine makes a wrapper, is started for each
// Run, and the user waits for it. So they branch off here, before the packages are set up
// that only the server needs: Go sets packages up in the order of their dependencies, then
// of their names, and this one needs few. That halves what they take of time until they
// work, and of memory.
func init() {
	if len(os.Args) < 3 || os.Args[1] != "worker" {
		return
	}
	switch os.Args[2] {
	case "supervise":
		os.Exit(Supervise(os.Args[3:], os.Stderr))
	case "inside":
		os.Exit(RunInside())
	case "probe":
		os.Exit(RunProbe(os.Args[3:]))
	}
}
