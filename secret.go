package weft

import "time"

// A Secret is a text that Runs of a project are given under its name. Its value is never
// told.
type Secret struct {
	Project   ProjectID
	Name      string
	ChangedAt time.Time
	By        PrincipalID // who set it last
}
