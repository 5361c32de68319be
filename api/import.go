package api

// An ImportRequest asks the server to bring in data that are somewhere already.
type ImportRequest struct {
	Source      string `json:"source" doc:"an absolute path on the server, below a directory that its settings allow; s3://BUCKET/PREFIX; or a URL of http or https"`
	Credentials string `json:"credentials,omitempty" doc:"name of the credentials for it: of the server's settings, or a secret of the project"`
	Tags        []Tag  `json:"tags,omitempty" doc:"to give to the data; no system tags"`
}

// An Import is one that the server was asked for.
type Import struct {
	ImportID  string `json:"importId" doc:"its id, which becomes that of the run"`
	KnitID    string `json:"knitId" doc:"of the data that it makes, which is there when it is done"`
	State     string `json:"state" doc:"queued, running, done or failed"`
	Source    string `json:"source" doc:"as a URL"`
	Problem   string `json:"problem,omitempty" doc:"why it failed"`
	Files     int64  `json:"files" doc:"brought in so far"`
	Bytes     int64  `json:"bytes" doc:"brought in so far"`
	Total     int64  `json:"total,omitempty" doc:"bytes in all, where that is known"`
	Tags      []Tag  `json:"tags" doc:"that the data gets"`
	CreatedAt Time   `json:"createdAt" doc:"when it was asked for"`
	UpdatedAt Time   `json:"updatedAt" doc:"when it was heard of last"`
}

// An Origin says where the content of imported data came from.
type Origin struct {
	URL     string `json:"url" doc:"file:, s3:, http: or https:"`
	Version string `json:"version,omitempty" doc:"what the place said about it: an ETag, a time, or a digest over several ETags"`
	At      Time   `json:"at" doc:"when it was there"`
	By      string `json:"by,omitempty" doc:"name of who had it imported"`
}
