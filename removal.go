package weft

// A Removal is what goes with a Run and all that came from it.
type Removal struct {
	Runs  []RunView // in the order in which they go: each behind those that use what it made
	Data  int64     // number of Data, logs included
	Bytes int64     // that they hold
	Freed int64     // of these, what nothing else holds: so much room comes free
}

// A Purge is what goes when the content of Data is discarded while all else stays.
type Purge struct {
	Data    []Data  // whose content goes
	Bytes   int64   // that they hold
	Freed   int64   // of these, what nothing else holds: so much room comes free
	Waiting []RunID // that are yet to begin, and will fail for want of the content
	Kept    []Kept  // that cannot be purged now
}

// A Kept is a Data that cannot be purged now.
type Kept struct {
	Data   DataID
	Reason string
}
