package server

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/weft-dev/weft"
)

// A listEncoder writes the items of long answers: the same JSON that encoding/json
// makes of what wire.go translates them to (a test compares them), about ten times as
// fast. It keeps what it has written of each Plan, since most items share theirs.
type listEncoder struct {
	plans map[weft.PlanID]*planJSON
}

// planJSON is what items repeat of a Plan. Objects are left open for more fields.
type planJSON struct {
	summary []byte
	inputs  [][]byte // {"path":…,"tags":[…]
	outputs [][]byte
	log     []byte // {"tags":[…]; nil without a log
}

func newListEncoder() *listEncoder { return &listEncoder{make(map[weft.PlanID]*planJSON)} }

// maxEncodedPlans bounds what is kept.
const maxEncodedPlans = 4096

func (e *listEncoder) plan(p weft.Plan) *planJSON {
	if known, ok := e.plans[p.ID]; ok {
		return known
	}
	j := &planJSON{summary: appendValue(nil, wirePlanSummary(p))}
	for _, in := range p.Inputs {
		j.inputs = append(j.inputs, appendOpenMountpoint(nil, in.Path, in.Tags))
	}
	for _, out := range p.Outputs {
		j.outputs = append(j.outputs, appendOpenMountpoint(nil, out.Path, out.Tags))
	}
	if p.Log != nil {
		j.log = appendTags(append([]byte(nil), `{"tags":`...), p.Log.Tags)
	}
	if len(e.plans) >= maxEncodedPlans {
		clear(e.plans)
	}
	e.plans[p.ID] = j
	return j
}

// run is wireRun.
func (e *listEncoder) run(b []byte, v weft.RunView) []byte {
	plan, r := e.plan(v.Plan), v.Run
	b = e.openRunSummary(b, v)
	b = append(b, `,"inputs":[`...)
	for i, in := range r.Inputs {
		b = appendBound(b, i, plan.inputs[i], in.Data)
	}
	b = append(b, `],"outputs":[`...)
	for i, out := range r.Outputs {
		b = appendBound(b, i, plan.outputs[i], out.Data)
	}
	b = append(b, `],"log":`...)
	if plan.log == nil {
		b = append(b, "null"...)
	} else {
		b = appendBound(b, 0, plan.log, r.Log)
	}
	b = appendMoment(b, `,"createdAt":`, r.CreatedAt)
	b = appendMoment(b, `,"startedAt":`, r.StartedAt)
	b = appendMoment(b, `,"endedAt":`, r.EndedAt)
	if !r.Image.IsZero() {
		b = appendDigest(append(b, `,"imageDigest":`...), r.Image)
	}
	if r.Attempt != 0 {
		b = strconv.AppendInt(append(b, `,"attempt":`...), r.Attempt, 10)
	}
	if r.Cause.Kind != "" {
		b = appendString(append(b, `,"cause":`...), r.Cause.Kind)
	}
	return append(b, '}')
}

// openRunSummary is wireRunSummary, left open.
func (e *listEncoder) openRunSummary(b []byte, v weft.RunView) []byte {
	r := v.Run
	b = appendRunID(append(b, `{"runId":`...), r.ID)
	b = appendString(append(b, `,"status":`...), string(r.Status))
	b = appendTime(append(b, `,"updatedAt":`...), r.UpdatedAt)
	if r.Exit != nil {
		b = strconv.AppendUint(append(b, `,"exit":{"code":`...), uint64(r.Exit.Code), 10)
		b = appendString(append(b, `,"message":`...), r.Exit.Message)
		b = append(b, '}')
	}
	b = append(append(b, `,"plan":`...), e.plan(v.Plan).summary...)
	if r.Reason != "" {
		b = appendString(append(b, `,"reason":`...), r.Reason)
	}
	return b
}

// data is wireData.
func (e *listEncoder) data(b []byte, v weft.DataView) []byte {
	b = appendID(append(b, `{"knitId":`...), v.Data.ID)
	b = appendTags(append(b, `,"tags":`...), v.Data.AllTags())
	b = append(b, `,"upstream":{`...)
	b = e.source(b, v)
	b = e.openRunSummary(append(b, `,"run":`...), v.Upstream)
	b = append(b, `}},"downstreams":[`...)
	for i, use := range v.Downstreams {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOpenMountpoint(append(b, `{"mountpoint":`...), use.Input.Path, use.Input.Tags)
		b = e.openRunSummary(append(b, `},"run":`...), use.Run)
		b = append(b, '}', '}')
	}
	b = append(b, `],"nomination":[`...)
	for i, n := range v.Nominations {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOpenMountpoint(b, n.Input.Path, n.Input.Tags)
		b = append(append(b, `,"plan":`...), e.plan(n.Plan).summary...)
		b = append(b, '}')
	}
	b = append(b, ']')
	if !v.Data.Tree.IsZero() {
		b = appendDigest(append(b, `,"digest":`...), v.Data.Tree)
	}
	if v.Data.Files != 0 {
		b = strconv.AppendInt(append(b, `,"files":`...), v.Data.Files, 10)
	}
	if v.Data.Bytes != 0 {
		b = strconv.AppendInt(append(b, `,"bytes":`...), v.Data.Bytes, 10)
	}
	b = appendMoment(b, `,"purged":`, v.Data.Purged)
	if v.From != nil {
		b = appendString(append(b, `,"sharedBy":`...), v.From.Name)
	}
	for i, p := range v.To {
		lead := ","
		if i == 0 {
			lead = `,"sharedWith":[`
		}
		b = appendString(append(b, lead...), p.Name)
	}
	if len(v.To) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// source is the first field of wireSource.
func (e *listEncoder) source(b []byte, v weft.DataView) []byte {
	plan := v.Upstream.Plan
	if v.Data.Source.Log {
		if log := e.plan(plan).log; log != nil {
			return append(append(append(b, `"log":`...), log...), '}')
		}
		return append(b, `"log":{"tags":[]}`...)
	}
	b = append(b, `"mountpoint":`...)
	for i, out := range plan.Outputs {
		if out.Path == v.Data.Source.Path {
			return append(append(b, e.plan(plan).outputs[i]...), '}')
		}
	}
	return append(appendOpenMountpoint(b, v.Data.Source.Path, nil), '}')
}

// lineageData writes an api.LineageData.
func (e *listEncoder) lineageData(b []byte, d weft.Data) []byte {
	b = appendID(append(b, `{"knitId":`...), d.ID)
	b = appendTags(append(b, `,"tags":`...), d.AllTags())
	b = appendRunID(append(b, `,"runId":`...), d.Source.Run)
	return append(b, '}')
}

// appendBound closes an open object with the id of a Data; "" if it was discarded.
func appendBound(b []byte, nth int, open []byte, id weft.DataID) []byte {
	if nth > 0 {
		b = append(b, ',')
	}
	b = append(append(b, open...), `,"knitId":`...)
	if id.IsZero() {
		return append(b, `""}`...)
	}
	return append(appendID(b, id), '}')
}

func appendOpenMountpoint(b []byte, path string, tags weft.Tags) []byte {
	b = appendString(append(b, `{"path":`...), path)
	return appendTags(append(b, `,"tags":`...), tags)
}

func appendTags(b []byte, tags weft.Tags) []byte {
	b = append(b, '[')
	for i, t := range tags {
		if i > 0 {
			b = append(b, ',')
		}
		if !plainText(t.Key()) || !plainText(t.Value()) {
			b = appendString(b, t.String())
			continue
		}
		b = append(append(append(append(append(b, '"'), t.Key()...), ':'), t.Value()...), '"')
	}
	return append(b, ']')
}

// appendRunID is wireRunID.
func appendRunID(b []byte, id weft.RunID) []byte {
	if id.IsZero() {
		return append(b, `""`...)
	}
	return appendID(b, id)
}

// appendID writes the text of an id as ID.String does.
func appendID[T any](b []byte, id weft.ID[T]) []byte {
	b = hex.AppendEncode(append(b, '"'), id[0:4])
	b = hex.AppendEncode(append(b, '-'), id[4:6])
	b = hex.AppendEncode(append(b, '-'), id[6:8])
	b = hex.AppendEncode(append(b, '-'), id[8:10])
	b = hex.AppendEncode(append(b, '-'), id[10:])
	return append(b, '"')
}

func appendDigest(b []byte, d weft.Digest) []byte {
	return append(hex.AppendEncode(append(b, `"sha256:`...), d[:]), '"')
}

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.UTC().Truncate(time.Millisecond).AppendFormat(b, weft.TimeLayout)
	return append(b, '"')
}

func appendMoment(b []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return appendTime(append(b, name...), t)
}

// appendString writes a JSON string.
func appendString(b []byte, s string) []byte {
	if plainText(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	return appendValue(b, s)
}

// plainText reports whether a JSON string holds s as it is.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendValue writes what is not worth a function of its own. Its values are strings
// and structs of strings, which cannot fail.
func appendValue(b []byte, v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return append(b, "null"...)
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
