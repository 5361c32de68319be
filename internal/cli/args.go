package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// three is a flag of yes, no or both, as knit has them.
type three struct{ yes, no bool }

func (t *three) Type() string { return "yes|no|both" }

func (t *three) String() string {
	switch {
	case t.yes:
		return "yes"
	case t.no:
		return "no"
	}
	return "both"
}

func (t *three) Set(s string) error {
	switch strings.ToLower(s) {
	case "yes", "true":
		*t = three{yes: true}
	case "no", "false":
		*t = three{no: true}
	case "both":
		*t = three{}
	default:
		return fmt.Errorf("%q is neither yes nor no nor both", s)
	}
	return nil
}

// only returns the truth value that is wanted, or nil for both.
func (t three) only() *bool {
	if t.yes || t.no {
		return &t.yes
	}
	return nil
}

// span is a stretch of time, as --since and --duration name it.
type span struct {
	since    string
	duration time.Duration
}

func (s *span) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.since, "since", "", "only from that `time` on, like 2026-11-22, \"2026-11-22 14:30\" or RFC 3339; in local time if it names no zone")
	cmd.Flags().DurationVar(&s.duration, "duration", 0, "with --since: only for that `long` from then on, like 24h or 1h30m")
}

// parse returns the beginning; it is zero when there is none.
func (s span) parse() (time.Time, error) {
	if s.since == "" {
		if s.duration != 0 {
			return time.Time{}, fmt.Errorf("--duration needs --since")
		}
		return time.Time{}, nil
	}
	if s.duration < 0 {
		return time.Time{}, fmt.Errorf("--duration %s is negative", s.duration)
	}
	return parseLooseTime(s.since, time.Local)
}

// parseLooseTime reads RFC 3339 of which everything after the date may be missing,
// with T or a blank before the time, in the given zone if it names none.
func parseLooseTime(s string, zone *time.Location) (time.Time, error) {
	text := strings.TrimSpace(s)
	for _, clock := range []string{"", "T15", "T15:04", "T15:04:05"} { // a fraction is taken after seconds
		for _, z := range []string{"", "Z07:00"} {
			for _, blank := range []string{"T", " "} {
				layout := "2006-01-02" + strings.Replace(clock, "T", blank, 1) + z
				if t, err := time.ParseInLocation(layout, text, zone); err == nil {
					return t, nil
				}
			}
		}
	}
	return time.Time{}, weft.Errorf(weft.Invalid, "%q is not a time", s).
		WithAdvice("write it like 2026-11-22, 2026-11-22 14:30 or 2026-11-22T14:30:00+01:00")
}

// parseTags reads tags of the command line.
func parseTags(texts []string) (weft.Tags, error) { return weft.ParseTags(texts...) }

// parseUserTags reads tags that are to be set or removed.
func parseUserTags(texts []string) (weft.Tags, error) {
	tags, err := parseTags(texts)
	if err != nil {
		return nil, err
	}
	return tags, weft.TagChange{Add: tags}.Validate()
}

// wireTags turns tags into those of a request; none become null.
func wireTags(tags weft.Tags) []api.Tag {
	var out []api.Tag
	for _, t := range tags {
		out = append(out, api.Tag{Key: t.Key(), Value: t.Value()})
	}
	return out
}

// userTags returns the texts of the tags of an answer that are not the system's.
func userTags(tags []api.Tag) []string {
	var out []string
	for _, t := range tags {
		if !strings.HasPrefix(t.Key, weft.SystemPrefix) {
			out = append(out, t.String())
		}
	}
	return out
}

// tagValue returns the value of the first tag with that key.
func tagValue(tags []api.Tag, key string) string {
	for _, t := range tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

// depth is how many steps a graph goes: a number, or all.
type depth int

func (d *depth) Type() string { return "N|all" }

func (d *depth) String() string {
	if *d == 0 {
		return "all"
	}
	return strconv.Itoa(int(*d))
}

func (d *depth) Set(s string) error {
	if s == "all" {
		*d = 0
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is neither a number from 1 on nor all", s)
	}
	*d = depth(n)
	return nil
}

// defaultDepth is how far graphs go when it is not said.
const defaultDepth = 3

// page is how much of a list is wanted.
type page struct {
	limit  int
	newest bool
}

func (p *page) addTo(cmd *cobra.Command) {
	cmd.Flags().IntVar(&p.limit, "limit", 0, "print at most so `many` (default: all)")
	cmd.Flags().BoolVar(&p.newest, "newest", false, "newest first")
}

func (p page) parse() (api.Page, error) {
	if p.limit < 0 {
		return api.Page{}, fmt.Errorf("--limit %d is negative", p.limit)
	}
	return api.Page{Limit: p.limit, Newest: p.newest}, nil
}
