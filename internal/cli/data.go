package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newData(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "data", "Push, find, tag, trace and pull data",
		newDataPush(c), newDataPull(c), newDataImport(c), newDataImports(c), newDataFind(c), newDataShow(c), newDataTag(c),
		newDataLineage(c), newDataLs(c), newDataCat(c), newDataVerify(c), newDataPurge(c), newDataShare(c), newDataUnshare(c), newDataShares(c), newDataDiff(c), newNote(c, weft.SubjectData))
	c.addTo(cmd)
	return cmd
}

// printData prints one data.
func (c *common) printData(d api.DataDetail) error {
	if c.format == formatJSON {
		return writeJSON(c.Out, d)
	}
	return c.showData(c.Out, d)
}

// showData prints one data for people.
func (c *common) showData(w io.Writer, d api.DataDetail) error {
	st := c.style(w)
	var p facts
	p.add("data", st.bold(d.KnitID))
	p.add("tags", c.paintTags(st, userTags(d.Tags)))
	p.add("time", dataTime(d))
	p.add("content", contentWords(d))
	p.add("digest", d.Digest)
	p.add("shared by", printable(d.SharedBy))
	for _, name := range d.SharedWith {
		p.add("shared with", printable(name))
	}
	if d.SharedBy == "" {
		p.add("made by", c.runWords(st, d.Upstream.Run)+" at "+sourcePath(d.Upstream))
	}
	if d.Origin != nil {
		p.add("from", originWords(*d.Origin))
	}
	for _, u := range d.Downstreams {
		p.add("used by", c.runWords(st, u.Run)+" at "+printable(u.Mountpoint.Path))
	}
	for _, n := range d.Nomination {
		p.add("fits", fmt.Sprintf("plan %s (%s) at %s", n.Plan.PlanID, planName(n.Plan), printable(n.Path)))
	}
	return p.print(w, st)
}

func (c *common) paintTags(st style, tags []string) string {
	painted := make([]string, len(tags))
	for i, t := range tags {
		painted[i] = st.tag(printable(t))
	}
	return strings.Join(painted, "  ")
}

func dataTime(d api.DataDetail) string {
	if at, err := weft.ParseTime(tagValue(d.Tags, weft.KeyTimestamp)); err == nil {
		return localTime(at)
	}
	return tagValue(d.Tags, weft.KeyTransient)
}

func contentWords(d api.DataDetail) string {
	if d.Purged != nil {
		return "purged at " + localTime(d.Purged.Time) + "; there were " + count(d.Files, "file") + ", " + byteCount(d.Bytes)
	}
	if d.Digest == "" {
		return ""
	}
	return count(d.Files, "file") + ", " + byteCount(d.Bytes)
}

func sourcePath(s api.DataSource) string {
	if s.Mountpoint != nil {
		return printable(s.Mountpoint.Path)
	}
	return logLabel
}

// runWords tells in one line which run it is and how it is.
func (c *common) runWords(st style, r api.RunSummary) string {
	s := weft.Status(r.Status)
	return fmt.Sprintf("run %s (%s, %s)", r.RunID, planName(r.Plan), st.status(s, statusWords(r)))
}

// statusWords is the status and, for a run that ended badly, how.
func statusWords(r api.RunSummary) string {
	if r.Exit != nil && (r.Exit.Code != 0 || r.Exit.Message != "") {
		words := fmt.Sprintf("%s, exit %d", r.Status, r.Exit.Code)
		if r.Exit.Message != "" {
			words += ": " + printable(r.Exit.Message)
		}
		return words
	}
	return r.Status
}

// planName is the image of a plan without its registry, or what a built-in one does.
func planName(p api.PlanSummary) string {
	if p.Image == "" {
		return strings.TrimPrefix(p.Name, weft.SystemPrefix)
	}
	if img, err := weft.ParseImage(p.Image); err == nil {
		return img.Path() + ":" + img.Tag
	}
	return printable(p.Image)
}

// facts are lines of a name and a value; those without a value are left out.
type facts struct{ names, values []string }

func (f *facts) add(name, value string) {
	if value != "" {
		f.names, f.values = append(f.names, name), append(f.values, value)
	}
}

func (f *facts) print(w io.Writer, st style) error {
	wide := 0
	for _, n := range f.names {
		wide = max(wide, len(n))
	}
	for i, n := range f.names {
		if i > 0 && n == f.names[i-1] {
			n = "" // a list
		}
		if _, err := fmt.Fprintf(w, "%s%s  %s\n", st.dim(n), strings.Repeat(" ", wide-len(n)), f.values[i]); err != nil {
			return err
		}
	}
	return nil
}
