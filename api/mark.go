package api

// A Note is a memo about a data, plan or run.
type Note struct {
	Text string `json:"text" doc:"empty when there is none"`
	By   string `json:"by,omitempty" doc:"who wrote it last"`
	At   *Time  `json:"at,omitempty"`
}

// A NoteText is what a Note is to say.
type NoteText struct {
	Text string `json:"text" doc:"at most 64 KiB; empty removes the note"`
}

// A Favourite is a data, plan or run that one has marked.
type Favourite struct {
	Kind string `json:"kind" enum:"data,plan,run"`
	ID   string `json:"id"`
	At   Time   `json:"at" doc:"when it was marked"`
}

// A Search is a query that was kept under a name.
type Search struct {
	Name   string `json:"name"`
	Kind   string `json:"kind" enum:"data,plan,run" doc:"of what it finds"`
	Query  string `json:"query" doc:"as it stands behind the ? of the list's URL"`
	Shared bool   `json:"shared" doc:"everyone in the project can use it"`
	By     string `json:"by,omitempty" doc:"its owner"`
	Own    bool   `json:"own" doc:"it is one's own"`
	At     Time   `json:"at"`
}

// A SearchQuery is a search to be kept.
type SearchQuery struct {
	Kind   string `json:"kind" enum:"data,plan,run"`
	Query  string `json:"query" doc:"as it stands behind the ? of the list's URL"`
	Shared bool   `json:"shared,omitempty"`
}
