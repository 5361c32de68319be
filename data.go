package weft

import "time"

// A Data is one directory of files with tags. It is born, tagged and processing,
// together with the Run that makes it, becomes immutable when that Run ends, and is
// deleted only together with that Run. Only its tags can be changed afterwards.
type Data struct {
	ID        DataID
	Project   ProjectID
	Source    Source
	Tags      Tags      // the user's tags; AllTags adds the system's
	Timestamp time.Time // when the producing Run ended, in milliseconds; zero until then
	CreatedAt time.Time
	Tree      Digest    // of the manifest; zero until sealed
	Files     int64     // number of regular files; 0 until sealed
	Bytes     int64     // sum of their sizes; 0 until sealed
	Purged    time.Time // since when its content is gone; zero while it is there

	// Epoch is how many changes of the project's Plans had been seen when the Data became
	// usable: it is not less than the Since of every Plan that was registered before.
	Epoch int64
}

// A Source says what made a Data: the output at Path of a Run, or its log.
type Source struct {
	Run    RunID
	Plan   PlanID
	Status Status // of the Run
	Path   string // where the Run had it mounted
	Log    bool
}

// Usable reports whether the Data can be an input: its Run is done, and its content there.
func (d Data) Usable() bool { return d.Source.Status == Done && d.Purged.IsZero() }

// Transient returns the value of knit#transient, or "" for a Data that has none.
func (d Data) Transient() string {
	switch d.Source.Status {
	case Done:
		return ""
	case Failed, Invalidated:
		return TransientFailed
	}
	return TransientProcessing
}

// AllTags returns the user's tags and the system's.
func (d Data) AllTags() Tags {
	all := append(make([]Tag, 0, len(d.Tags)+3), d.Tags...)
	all = append(all, Tag{KeyID, d.ID.String()})
	if !d.Timestamp.IsZero() {
		all = append(all, Tag{KeyTimestamp, FormatTime(d.Timestamp)})
	}
	if s := d.Transient(); s != "" {
		all = append(all, Tag{KeyTransient, s})
	}
	return NewTags(all...)
}
