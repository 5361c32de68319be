package store_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
)

func TestNotes(t *testing.T) {
	eachWorld(t, func(w *world) {
		about := weft.Subject{Kind: weft.SubjectData, ID: w.push("a:b").String()}
		set := func(text, by string) error {
			_, err := w.s.SetNote(w.Context(), w.project, weft.Note{Subject: about, Text: text, By: by})
			return err
		}
		read := func() weft.Note { return must(w.s.Note(w.Context(), w.project, about))(w) }
		if n := read(); n.Text != "" {
			w.Errorf("before anyone wrote it says %q", n.Text)
		}
		for _, text := range []string{"first", "second ✓\nline"} {
			if err := set(text, "ann"); err != nil {
				w.Fatal(err)
			}
			if n := read(); n.Text != text || n.By != "ann" || n.At.IsZero() {
				w.Errorf("it says %+v, want %q", n, text)
			}
		}
		for name, text := range map[string]string{"not UTF-8": "\xff", "zero byte": "a\x00b", "too long": strings.Repeat("x", weft.MaxNote+1)} {
			if err := set(text, "ann"); weft.KindOf(err) != weft.Invalid {
				w.Errorf("%s: %v", name, err)
			}
		}
		if err := set("", "bob"); err != nil || read().Text != "" {
			w.Errorf("removed it says %q (%v)", read().Text, err)
		}
		about.ID = weft.NewID[weft.Data]().String()
		if err := set("x", "ann"); weft.KindOf(err) != weft.NotFound {
			w.Errorf("about nothing: %v", err)
		}
	})
}

func TestFavourites(t *testing.T) {
	eachWorld(t, func(w *world) {
		a := weft.Subject{Kind: weft.SubjectData, ID: w.push("a:b").String()}
		b := weft.Subject{Kind: weft.SubjectData, ID: w.push("a:b").String()}
		mark := func(s weft.Subject, marked bool) {
			if err := w.s.SetFavourite(w.Context(), w.by, w.project, s, marked); err != nil {
				w.Error(err)
			}
		}
		list := func(who weft.PrincipalID, kind string) (ids []string) {
			for _, f := range must(w.s.Favourites(w.Context(), who, w.project, kind))(w) {
				ids = append(ids, f.Subject.ID)
			}
			return ids
		}
		mark(a, true)
		mark(a, true)
		mark(b, true)
		if got := list(w.by, ""); len(got) != 2 {
			w.Errorf("favourites are %v", got)
		}
		if got := list(w.by, weft.SubjectRun); len(got) != 0 {
			w.Errorf("favourite runs are %v", got)
		}
		mark(a, false)
		if got := list(w.by, weft.SubjectData); len(got) != 1 || got[0] != b.ID {
			w.Errorf("favourites are %v", got)
		}
		if got := list(weft.NewID[weft.Principal](), ""); len(got) != 0 {
			w.Errorf("another's favourites are %v", got)
		}
	})
}

func TestSearches(t *testing.T) {
	eachWorld(t, func(w *world) {
		other := must(w.s.CreateUser(w.Context(), weft.User{Name: "bob", Kind: weft.Person}, "", weft.Member))(w)
		save := func(name string, by weft.PrincipalID, shared bool, query string) error {
			q, err := url.ParseQuery(query)
			if err != nil {
				w.Fatal(err)
			}
			return w.s.SaveSearch(w.Context(), w.project, weft.Search{Name: name, Kind: weft.SubjectRun, Query: q, Shared: shared, Owner: by})
		}
		names := func(who weft.PrincipalID) (out []string) {
			for _, q := range must(w.s.Searches(w.Context(), who, w.project))(w) {
				out = append(out, q.Name+"?"+q.Query.Encode())
			}
			return out
		}
		for _, err := range []error{save("own", w.by, false, "status=done"), save("all", w.by, true, "status=failed"), save("own", w.by, false, "status=failed,done&tag=a%3Ab")} {
			if err != nil {
				w.Fatal(err)
			}
		}
		if got := strings.Join(names(w.by), " "); got != "all?status=failed own?status=failed%2Cdone&tag=a%3Ab" {
			w.Errorf("own searches are %s", got)
		}
		if got := strings.Join(names(other.ID), " "); got != "all?status=failed" {
			w.Errorf("another's searches are %s", got)
		}
		if err := save("own", other.ID, false, ""); weft.KindOf(err) != weft.Conflict {
			w.Errorf("taking another's name: %v", err)
		}
		for name, want := range map[string]weft.Kind{"": weft.Invalid, "a/b": weft.Invalid, "a b": weft.Invalid, strings.Repeat("x", 101): weft.Invalid} {
			if err := save(name, w.by, false, ""); weft.KindOf(err) != want {
				w.Errorf("name %q: %v", name, err)
			}
		}
		if err := w.s.DeleteSearch(w.Context(), other.ID, w.project, "all", false); weft.KindOf(err) != weft.NotFound {
			w.Errorf("removing another's: %v", err)
		}
		if err := w.s.DeleteSearch(w.Context(), other.ID, w.project, "own", true); weft.KindOf(err) != weft.NotFound {
			w.Errorf("a manager removed another's own: %v", err)
		}
		if err := w.s.DeleteSearch(w.Context(), other.ID, w.project, "all", true); err != nil {
			w.Errorf("a manager cannot remove a shared one: %v", err)
		}
		if got := names(w.by); len(got) != 1 {
			w.Errorf("left are %v", got)
		}
	})
}
