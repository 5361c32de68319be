package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// listBuffer is how much of a list is gathered before it is sent.
const listBuffer = 32 << 10

// maxPage bounds a page, which is held in memory to name the next one beforehand.
const maxPage = 10_000

// A jsonWriter writes JSON piece by piece.
type jsonWriter struct {
	w    *bufio.Writer
	item bytes.Buffer
	enc  *json.Encoder
}

func newJSONWriter(w http.ResponseWriter) *jsonWriter {
	j := &jsonWriter{w: bufio.NewWriterSize(w, listBuffer)}
	j.enc = json.NewEncoder(&j.item)
	j.enc.SetEscapeHTML(false)
	return j
}

// raw writes text as it is.
func (j *jsonWriter) raw(text string) { j.w.WriteString(text) } // an error is kept, and returned by Flush

// value writes a value, without the line feed that an Encoder adds.
func (j *jsonWriter) value(v any) error {
	j.item.Reset()
	if err := j.enc.Encode(v); err != nil {
		return err
	}
	_, err := j.w.Write(bytes.TrimSuffix(j.item.Bytes(), []byte("\n")))
	return err
}

// writeList answers with what items yields, as a JSON array, item by item: the first
// one is sent at once, the rest as it comes, and nothing is held. An error before the
// first item is returned with nothing written.
func writeList[T, W any](w http.ResponseWriter, items iter.Seq2[T, error], wire func(T) W) error {
	j := newJSONWriter(w)
	n := 0
	begin := func() {
		w.Header().Set("Content-Type", "application/json")
		j.raw("[")
	}
	for item, err := range items {
		if err != nil {
			return err
		}
		if n == 0 {
			begin()
		} else {
			j.raw(",")
		}
		if err := j.value(wire(item)); err != nil {
			return err
		}
		if n == 0 {
			if err := j.flush(w); err != nil {
				return err
			}
		}
		n++
	}
	if n == 0 {
		begin()
	}
	j.raw("]\n")
	return j.w.Flush()
}

func (j *jsonWriter) flush(w http.ResponseWriter) error {
	if err := j.w.Flush(); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// writePage answers with one page: at most limit items, and the position after them
// in the header Link, if there are more.
func writePage[T, W any](w http.ResponseWriter, r *http.Request, items iter.Seq2[T, error], limit int, next func(T) string, wire func(T) W) error {
	page := make([]W, 0, min(limit, maxPage))
	position := ""
	for item, err := range items {
		if err != nil {
			return err
		}
		if len(page) == limit {
			setNext(w, r, position)
			break
		}
		page, position = append(page, wire(item)), next(item)
	}
	w.Header().Set("Content-Type", "application/json")
	j := newJSONWriter(w)
	if err := j.value(page); err != nil {
		return err
	}
	j.raw("\n")
	return j.w.Flush()
}

func setNext(w http.ResponseWriter, r *http.Request, position string) {
	q := r.URL.Query()
	q.Set("after", position)
	w.Header().Set("Link", "<"+r.URL.EscapedPath()+"?"+q.Encode()+`>; rel="next"`)
}

// answerList answers with all items, or one page if the request asks for that.
func answerList[T, W any](w http.ResponseWriter, r *http.Request, page weft.Page, find func(weft.Page) iter.Seq2[T, error], next func(T) string, wire func(T) W) error {
	if page.Limit == 0 {
		return writeList(w, find(page), wire)
	}
	more := page
	more.Limit++ // one more than asked for tells whether there is a next page
	return writePage(w, r, find(more), page.Limit, next, wire)
}

// pageParams documents what pageOf reads.
func pageParams() []param {
	return []param{
		{name: "limit", doc: "at most so many items; the header Link then names the next page; absent: all"},
		{name: "after", doc: "go on after this position, as the header Link of the page before has it"},
		{name: "newest", doc: "true: newest first instead of oldest first"},
	}
}

func pageOf(q url.Values) (weft.Page, error) {
	p := weft.Page{After: q.Get("after")}
	var err error
	if p.Newest, err = flagOf(q, "newest"); err != nil {
		return p, err
	}
	if text := q.Get("limit"); text != "" {
		p.Limit, err = strconv.Atoi(text)
		if err != nil || p.Limit < 1 || p.Limit > maxPage {
			return p, weft.Errorf(weft.Invalid, "limit is not a number from 1 to %d", maxPage)
		}
	}
	return p, nil
}

// flagOf reads a parameter that is on when it is there, unless its value says no.
func flagOf(q url.Values, name string) (bool, error) {
	values, ok := q[name]
	if !ok || len(values) == 0 {
		return false, nil
	}
	if values[0] == "" {
		return true, nil
	}
	on, err := strconv.ParseBool(values[0])
	if err != nil {
		return false, weft.Errorf(weft.Invalid, "%s is neither true nor false", name)
	}
	return on, nil
}

// spanOf reads since and duration as a span of time.
func spanOf(q url.Values) (since, until time.Time, err error) {
	from, length := q.Get("since"), q.Get("duration")
	if from != "" {
		if since, err = weft.ParseTime(strings.ReplaceAll(from, " ", "+")); err != nil {
			return since, until, weft.Errorf(weft.Invalid, "since: %w", err).
				WithAdvice("write it as RFC 3339 with a zone, like 2026-11-22T06:50:48.382+00:00")
		}
	}
	if length == "" {
		return since, until, nil
	}
	d, err := time.ParseDuration(length)
	if err != nil {
		return since, until, weft.Errorf(weft.Invalid, "duration: %q is not a duration", length).WithAdvice("write it like 24h, 1h30m or 300ms")
	}
	if from == "" {
		return since, until, weft.Errorf(weft.Invalid, "duration needs since").WithAdvice("say since when")
	}
	return since, since.Add(d), nil
}

// idsOf reads ids joined by commas. Ids are opaque, so text that is none is an id
// that is not there, and finds nothing; ok is false when nothing is left to find.
func idsOf[T any](q url.Values, name string) (ids []weft.ID[T], ok bool) {
	text := q.Get(name)
	if text == "" {
		return nil, true
	}
	for _, part := range strings.Split(text, ",") {
		if id, err := weft.ParseID[T](part); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, len(ids) > 0
}

// walkOf reads how far to walk through a graph, and where to; everywhere when no
// direction is asked for.
func walkOf(q url.Values) (upstream, downstream bool, depth int, err error) {
	if upstream, err = flagOf(q, "upstream"); err != nil {
		return
	}
	if downstream, err = flagOf(q, "downstream"); err != nil {
		return
	}
	if text := q.Get("depth"); text != "" {
		if depth, err = strconv.Atoi(text); err != nil || depth < 0 {
			return false, false, 0, weft.Errorf(weft.Invalid, "depth is not a number of steps")
		}
	}
	if !upstream && !downstream {
		upstream, downstream = true, true
	}
	return upstream, downstream, depth, nil
}
