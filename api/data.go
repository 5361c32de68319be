package api

// A DataDetail is a data with what made it, what uses it and what could.
type DataDetail struct {
	KnitID      string        `json:"knitId" doc:"its id"`
	Tags        []Tag         `json:"tags" doc:"sorted, with the system's"`
	Upstream    DataSource    `json:"upstream" doc:"what made it"`
	Downstreams []DataUse     `json:"downstreams" doc:"the inputs of runs that it fills; deleted runs are left out"`
	Nomination  []DataNominee `json:"nomination" doc:"all inputs of plans that it fits"`

	Digest string `json:"digest,omitempty" doc:"of the manifest; equal content has equal digests; absent until the content is there"`
	Files  int64  `json:"files,omitempty" doc:"number of regular files"`
	Bytes  int64  `json:"bytes,omitempty" doc:"sum of their sizes"`
	Purged *Time  `json:"purged,omitempty" doc:"since when its content is gone; its tags and lineage stay, and no new run gets it"`

	Origin     *Origin  `json:"origin,omitempty" doc:"where it came from, if it was imported; absent in lists"`
	SharedBy   string   `json:"sharedBy,omitempty" doc:"name of the project that has the data and shares it; what made it is not told then"`
	SharedWith []string `json:"sharedWith,omitempty" doc:"names of the projects that may read it"`
}

// A DataSource is the output (Mountpoint) or the log of the run that made a data.
type DataSource struct {
	Mountpoint *Mountpoint `json:"mountpoint,omitempty" doc:"the output; absent when it is the log"`
	Log        *LogPoint   `json:"log,omitempty" doc:"the log; absent when it is an output"`
	Run        RunSummary  `json:"run" doc:"that made it"`
}

// A DataUse is an input of a run that a data fills.
type DataUse struct {
	Mountpoint Mountpoint `json:"mountpoint" doc:"the input"`
	Run        RunSummary `json:"run" doc:"that reads it there"`
}

// A DataNominee is an input of a plan that a data fits.
type DataNominee struct {
	Mountpoint
	Plan PlanSummary `json:"plan" doc:"whose input it is"`
}

// A TagChange removes, then adds tags of a data. Any of the lists may be left out.
type TagChange struct {
	Add       []Tag    `json:"add" required:"false" doc:"to have"`
	Remove    []Tag    `json:"remove" required:"false" doc:"not to have"`
	RemoveKey []string `json:"remove_key" required:"false" doc:"keys of which no tag is to be left"`
}

// DataTags are the tags of a data that is about to be pushed.
type DataTags struct {
	Tags []Tag `json:"tags" doc:"as they would be pushed"`
}

// A Lineage is the part of the history around one data. The edges are in the runs:
// from their inputs to the run, from the run to its outputs and log.
type Lineage struct {
	Start string        `json:"start" doc:"id of the data that was asked for"`
	Data  []LineageData `json:"data" doc:"each once"`
	Runs  []RunDetail   `json:"runs" doc:"each once"`
}

// A LineageData is a data in a Lineage.
type LineageData struct {
	KnitID string `json:"knitId" doc:"its id"`
	Tags   []Tag  `json:"tags" doc:"sorted, with the system's"`
	RunID  string `json:"runId" doc:"of the run that made it"`

	Origin *Origin `json:"origin,omitempty" doc:"where it came from, if it was imported"`
}

// A FileList is what a data consists of, sorted by path.
type FileList struct {
	Digest string `json:"digest" doc:"of the manifest"`
	Files  []File `json:"files" doc:"sorted by path"`
}

// A File is one file, directory or link of a data.
type File struct {
	Path    string `json:"path" doc:"relative and slash-separated; bytes that are no UTF-8 are replaced"`
	RawPath []byte `json:"rawPath,omitempty" doc:"the bytes of the path, in base64, where path cannot hold them"`
	Kind    string `json:"kind" enum:"file,directory,link"`
	Mode    string `json:"mode,omitempty" doc:"permission bits in octal; absent for links"`
	Size    int64  `json:"size" doc:"of files"`
	Digest  string `json:"digest,omitempty" doc:"of files"`
	Target  string `json:"target,omitempty" doc:"of links"`
}

// A VerifyStep is one line of the answer to a verification: how far it has come, or,
// in the last line, what it found.
type VerifyStep struct {
	Files    int64     `json:"files" doc:"checked so far"`
	Bytes    int64     `json:"bytes" doc:"checked so far"`
	Total    int64     `json:"total" doc:"bytes to check"`
	Done     bool      `json:"done" doc:"this is the last line"`
	Problems []Problem `json:"problems,omitempty" doc:"in the last line: what is wrong; none when all is well"`
	Error    *Error    `json:"error,omitempty" doc:"in the last line: why the verification broke off"`
}

// A Problem is something wrong with a file of a data.
type Problem struct {
	Path    string `json:"path" doc:"of the file"`
	Message string `json:"message" doc:"what is wrong with it"`
}
