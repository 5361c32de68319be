package api

// Version says which program answers.
type Version struct {
	Version string `json:"version" doc:"of Weft"`
	Commit  string `json:"commit,omitempty" doc:"of the source"`
	Knitfab string `json:"knitfab" doc:"the release of Knitfab whose API this one includes"`
}

// Cluster says what the system offers to those who write plans.
type Cluster struct {
	Version   string              `json:"version" doc:"of Weft"`
	Registry  string              `json:"registry" doc:"the embedded image registry, as plans name it"`
	Pushes    []string            `json:"registryAddresses,omitempty" doc:"where docker and skopeo reach the registry"`
	Resources map[string]Quantity `json:"resources" doc:"names for a plan's resources, with the largest amount one run can get"`
	Labels    []string            `json:"labels" doc:"key=value, for a plan's on_node"`
	Executor  Executor            `json:"executor" doc:"what runs containers"`
	Storage   Storage             `json:"storage" doc:"room for content"`
	Runs      map[string]int64    `json:"runs" doc:"number of runs by status"`
	RunLimit  int64               `json:"runLimit" doc:"how many pending runs a plan may make at once, by default"`
	ExtraAPIs []ExtraAPI          `json:"extraApis,omitempty" doc:"other services that are reached through this server"`
}

// Executor says what runs containers.
type Executor struct {
	Kind  string `json:"kind" enum:"runc,docker" doc:"docker is any engine that speaks Docker's API, Podman among them"`
	About string `json:"about" doc:"which one it is, and what it lacks, in words"`
	Why   string `json:"why" doc:"it was chosen"`
}

// Storage tells how much room there is for content.
type Storage struct {
	TotalBytes   int64 `json:"totalBytes" doc:"of the disk"`
	FreeBytes    int64 `json:"freeBytes" doc:"of the disk, the reserve among them"`
	ReserveBytes int64 `json:"reserveBytes" doc:"below this much free, uploads are refused and no run starts"`
	Blobs        int64 `json:"blobs" doc:"number of distinct contents kept"`
	BlobBytes    int64 `json:"blobBytes" doc:"sum of their sizes"`
}

// An Event tells that something changed.
type Event struct {
	Cursor string `json:"cursor" doc:"position in the sequence; send it as Last-Event-ID to go on from here"`
	At     Time   `json:"at" doc:"when it happened"`
	Kind   string `json:"kind" enum:"run,tags,plan,run-removed,data-removed" doc:"run: made, in another status, or waiting for another reason; tags: of a data; plan: registered or changed"`
	RunID  string `json:"runId,omitempty" doc:"that it is about"`
	PlanID string `json:"planId,omitempty" doc:"that it is about"`
	KnitID string `json:"knitId,omitempty" doc:"that it is about"`
	From   string `json:"from,omitempty" doc:"status of the run before; the same as to when only its reason is another"`
	To     string `json:"to,omitempty" doc:"status of the run after"`
	By     string `json:"by,omitempty" doc:"who did it"`
}

// An Image is a repository of the embedded registry with one of its tags.
type Image struct {
	Image  string `json:"image" doc:"repository:tag, as plans name it"`
	Digest string `json:"digest" doc:"of its manifest"`
	Size   int64  `json:"size" doc:"bytes of the manifest and everything it refers to"`
}
