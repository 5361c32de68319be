package weft

import (
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// A Subject is a Data, Plan or Run of a project that people write notes about or mark
// as their favourite.
type Subject struct {
	Kind string // SubjectData, SubjectPlan or SubjectRun
	ID   string // the text of its id
}

// Kinds of Subjects.
const (
	SubjectData = "data"
	SubjectPlan = "plan"
	SubjectRun  = "run"
)

// ParseSubject checks a kind and brings an id into its usual form. Whether there is such
// a thing is for the store to say.
func ParseSubject(kind, id string) (Subject, error) {
	var text string
	var err error
	switch kind {
	case SubjectData:
		text, err = usualID[Data](id)
	case SubjectPlan:
		text, err = usualID[Plan](id)
	case SubjectRun:
		text, err = usualID[Run](id)
	default:
		return Subject{}, Errorf(Invalid, "%q is neither data, plan nor run", clip(kind))
	}
	return Subject{kind, text}, err
}

func usualID[T any](s string) (string, error) {
	id, err := ParseID[T](s)
	return id.String(), err
}

// A Note is a memo about a Subject, which everyone in its project reads and members
// change. There is one per Subject; the last text counts.
type Note struct {
	Subject Subject
	Text    string // "" is no note
	By      string // the name of who wrote it last
	At      time.Time
}

// MaxNote bounds the text of a Note, in bytes.
const MaxNote = 64 << 10

// CheckNote refuses a text that cannot be kept.
func CheckNote(text string) error {
	switch {
	case len(text) > MaxNote:
		return Errorf(Invalid, "the note has %d bytes; at most %d are kept", len(text), MaxNote).WithAdvice("push long texts as data")
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return Errorf(Invalid, "the note is not text in UTF-8")
	}
	return nil
}

// A Favourite is a Subject that somebody has marked for himself.
type Favourite struct {
	Subject Subject
	At      time.Time // when it was marked
}

// A Search is a query that was kept under a name: its owner's alone, or shared with
// everyone in the project. Names are unique in the project.
type Search struct {
	Name   string
	Kind   string     // of what it finds: SubjectData, SubjectPlan or SubjectRun
	Query  url.Values // as the list's route takes it
	Shared bool
	Owner  PrincipalID
	By     string // the owner's name
	At     time.Time
}

// MaxSearch bounds a kept query, in bytes of its text.
const MaxSearch = 8 << 10

// Validate refuses a Search that cannot be kept. The query's own meaning is checked where
// it is used.
func (s Search) Validate() error {
	if s.Kind != SubjectData && s.Kind != SubjectPlan && s.Kind != SubjectRun {
		return Errorf(Invalid, "%q is neither data, plan nor run", clip(s.Kind))
	}
	if len(s.Query.Encode()) > MaxSearch {
		return Errorf(Invalid, "the search is too long to be kept")
	}
	return checkSearchName(s.Name)
}

func checkSearchName(name string) error {
	const longest = 100
	plain := func(r rune) bool { return r > ' ' && r != '/' && r != '\\' && r != utf8.RuneError && r != 0x7f }
	if name == "" || len(name) > longest || strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) >= 0 {
		return Errorf(Invalid, "%q cannot be the name of a search", clip(name)).WithAdvice("take up to %d bytes without spaces and slashes", longest)
	}
	return nil
}
