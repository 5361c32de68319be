package weft

import (
	"net/mail"
	"slices"
	"strings"
	"time"
)

// A Notification is a rule of a project: who is told what about its Runs, by mail or at a
// URL. It is made by the project's managers.
type Notification struct {
	ID        NotificationID
	Project   ProjectID
	On        []Occasion
	Plans     []string // ids, names or images; none: all
	Tags      Tags     // one input, output or log of the Plan has all of them; none: all
	After     time.Duration
	Mail      []string // addresses, or
	Host      string   // … the host of a URL, which itself is a secret
	Signed    bool     // by a secret that was given with it
	CreatedAt time.Time
	By        PrincipalID
	Error     string // why it could not be sent; "" when it could
}

// A NotificationID names a Notification.
type NotificationID = ID[Notification]

// An Occasion is what somebody wants to be told of.
type Occasion string

const (
	OnDone    Occasion = "done"
	OnFailed  Occasion = "failed"  // and is not tried again by itself
	OnWaiting Occasion = "waiting" // has not begun for longer than After
)

// Bounds of Notifications.
const (
	MaxNotifications = 100 // of a project
	maxAddresses     = 20
	maxFilters       = 100
	defaultAfter     = time.Hour
)

// ValidateNotification checks a Notification that somebody made, and fills in what he
// left out. Whether it has a URL is up to the caller.
func ValidateNotification(n Notification) (Notification, error) {
	for _, o := range n.On {
		if o != OnDone && o != OnFailed && o != OnWaiting {
			return n, Errorf(Invalid, "%q is not an occasion: it is %s, %s or %s", clip(string(o)), OnDone, OnFailed, OnWaiting)
		}
	}
	slices.Sort(n.On)
	n.On = slices.Compact(n.On)
	if len(n.On) == 0 {
		n.On = []Occasion{OnFailed}
	}
	switch {
	case n.After < 0:
		return n, Errorf(Invalid, "the time after which a run waits too long is negative")
	case n.After != 0 && !slices.Contains(n.On, OnWaiting):
		return n, Errorf(Invalid, "there is a time after which a run waits too long, and nobody is told of that").WithAdvice("add the occasion %s", OnWaiting)
	case len(n.Mail) > maxAddresses:
		return n, Errorf(TooLarge, "these are more than %d addresses", maxAddresses).WithAdvice("use a mailing list")
	case len(n.Plans) > maxFilters || len(n.Tags) > maxFilters:
		return n, Errorf(TooLarge, "these are more than %d plans or tags", maxFilters)
	}
	if n.After == 0 && slices.Contains(n.On, OnWaiting) {
		n.After = defaultAfter
	}
	for i, text := range n.Mail {
		a, err := mail.ParseAddress(text)
		if err != nil || strings.ContainsAny(text, "\r\n") {
			return n, Errorf(Invalid, "%q is not the address of a mailbox", clip(text))
		}
		n.Mail[i] = a.Address
	}
	return n, nil
}

// Concerns reports whether somebody wants to be told on an occasion about a Plan's Run.
func (n Notification) Concerns(on Occasion, p Plan) bool {
	if !slices.Contains(n.On, on) || len(n.Plans) > 0 && !slices.ContainsFunc(n.Plans, p.IsCalled) {
		return false
	}
	if len(n.Tags) == 0 {
		return true
	}
	has := func(ts Tags) bool {
		return !slices.ContainsFunc(n.Tags, func(t Tag) bool { return !ts.Has(t) })
	}
	return slices.ContainsFunc(p.Inputs, func(in Input) bool { return has(in.Tags) }) ||
		slices.ContainsFunc(p.Outputs, func(out Output) bool { return has(out.Tags) }) || p.Log != nil && has(p.Log.Tags)
}

// IsCalled reports whether text means p: its id, its name, or its image with or without
// the tag.
func (p Plan) IsCalled(text string) bool {
	switch text {
	case "":
		return false
	case p.ID.String(), p.Name, p.Image.String(), p.Image.Repository:
		return true
	}
	return false
}

// A Notice is one thing to be told by one Notification. Nothing is told twice.
type Notice struct {
	Rule    NotificationID
	Run     RunID
	Attempt int64
	On      Occasion
	At      time.Time
	Plan    string // what people call it
	Text    string // how it ended, or why it waits
}

// A NotificationRule is a Notification with what its sender keeps about it.
type NotificationRule struct {
	Notification
	Sealed []byte    // what is secret about it
	Next   time.Time // nothing is sent before
	Tries  int       // in vain, in a row
}

// FollowerNotify is the name under which notifications follow events.
const FollowerNotify = "notify"
