package server

import (
	"bufio"
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
	rc   *http.ResponseController
	item []byte
}

func newJSONWriter(w http.ResponseWriter) *jsonWriter {
	return &jsonWriter{w: bufio.NewWriterSize(w, listBuffer), rc: http.NewResponseController(w)}
}

// raw writes text as it is.
func (j *jsonWriter) raw(text string) { j.w.WriteString(text) } // an error is kept, and returned by Flush

// flush sends what was written.
func (j *jsonWriter) flush() error {
	if err := j.w.Flush(); err != nil {
		return err
	}
	return j.rc.Flush()
}

// array writes an array of items, each by encode. If it has many, it stops when
// nobody reads them any more.
func array[T any](j *jsonWriter, items []T, encode func([]byte, T) []byte) error {
	j.raw("[")
	for i, item := range items {
		if i > 0 {
			j.raw(",")
		}
		j.item = encode(j.item[:0], item)
		if _, err := j.w.Write(j.item); err != nil {
			return err
		}
	}
	j.raw("]")
	return nil
}

// encoded makes an encoder of a translation to a wire type.
func encoded[T, W any](wire func(T) W) func([]byte, T) []byte {
	return func(b []byte, item T) []byte { return appendValue(b, wire(item)) }
}

// writeList answers with what items yields, as a JSON array, item by item: the first
// one is sent at once, the rest as it comes, and nothing is held. An error before the
// first item is returned with nothing written.
func writeList[T any](w http.ResponseWriter, items iter.Seq2[T, error], encode func([]byte, T) []byte) error {
	j := newJSONWriter(w)
	separator := "["
	for item, err := range items {
		if err != nil {
			return err
		}
		first := separator == "["
		if first {
			w.Header().Set("Content-Type", "application/json")
		}
		j.raw(separator)
		separator = ","
		j.item = encode(j.item[:0], item)
		if _, err := j.w.Write(j.item); err != nil {
			return err
		}
		if first {
			if err := j.flush(); err != nil {
				return err
			}
		}
	}
	if separator == "[" {
		w.Header().Set("Content-Type", "application/json")
		j.raw("[")
	}
	j.raw("]\n")
	return j.w.Flush()
}

// writePage answers with one page: at most limit items, and the position after them
// in the header Link, if there are more.
func writePage[T any](w http.ResponseWriter, r *http.Request, items iter.Seq2[T, error], limit int, next func(T) string, encode func([]byte, T) []byte) error {
	page, n, position := []byte{'['}, 0, ""
	for item, err := range items {
		if err != nil {
			return err
		}
		if n == limit {
			setNext(w, r, position)
			break
		}
		if n > 0 {
			page = append(page, ',')
		}
		page, position = encode(page, item), next(item)
		n++
	}
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(append(page, "]\n"...))
	return err
}

func setNext(w http.ResponseWriter, r *http.Request, position string) {
	q := r.URL.Query()
	q.Set("after", position)
	w.Header().Set("Link", "<"+r.URL.EscapedPath()+"?"+q.Encode()+`>; rel="next"`)
}

// answerList answers with all items, or one page if the request asks for that.
func answerList[T any](w http.ResponseWriter, r *http.Request, page weft.Page, find func(weft.Page) iter.Seq2[T, error], next func(T) string, encode func([]byte, T) []byte) error {
	if page.Limit == 0 {
		return writeList(w, find(page), encode)
	}
	more := page
	more.Limit++ // one more than asked for tells whether there is a next page
	return writePage(w, r, find(more), page.Limit, next, encode)
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
