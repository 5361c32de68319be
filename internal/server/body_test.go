package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// rawRequest sends text over a connection that stays open, and returns the answer.
func rawRequest(t testing.TB, address, text string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func TestBodiesThatStandStillAreGivenUp(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	r.stall = 50 * time.Millisecond
	whole := archive(t, "a="+strings.Repeat("b", 1000))
	for name, c := range map[string]struct{ line, body string }{
		"JSON":   {"POST /api/plans", `{"image":`},
		"upload": {"POST /api/data", string(whole[:30])},
	} {
		t.Run(name, func(t *testing.T) {
			res := rawRequest(t, r.http.Listener.Addr().String(), fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000000\r\n\r\n%s", c.line, testToken, c.body))
			text, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != 400 && res.StatusCode != 408 || !strings.Contains(string(text), `"requestId"`) {
				t.Errorf("%d %s", res.StatusCode, text)
			}
		})
	}
}

func TestBodiesThatAreTooLargeAreRefused(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	u, err := r.client.BeginUpload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spaces := bytes.Repeat([]byte(" "), maxBody+1)
	for _, path := range []string{"/api/plans", "/api/uploads/" + u.ID + "/missing"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.http.URL+path, bytes.NewReader(spaces))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("", testToken)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(text), `"too_large"`) {
			t.Errorf("%s: %d %s", path, res.StatusCode, text)
		}
	}
}

func TestContentTypesDoNotMatter(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	d := r.push(t, []string{"a=b"})
	for _, contentType := range []string{"", "application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "nonsense"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.http.URL+"/api/data/"+d.KnitID, strings.NewReader(`{"add":["a:b"]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("", testToken)
		req.Header["Content-Type"] = []string{contentType}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("%q: %d", contentType, res.StatusCode)
		}
	}
}

func TestAnArchiveMayBringItsTags(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	d, err := r.client.PushArchive(t.Context(), bytes.NewReader(archive(t, "a=b")), api.Tag{Key: "type", Value: "dataset"})
	if err != nil || d.Tags[2].String() != "type:dataset" {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := r.client.PushArchive(t.Context(), bytes.NewReader(archive(t, "a=b")), api.Tag{Key: "knit#id", Value: "x"}); kindOf(err) != api.KindInvalid {
		t.Errorf("%v", err)
	}
}

// panicky is a Store with a defect.
type panicky struct{ Store }

func (panicky) Run(context.Context, weft.ProjectID, weft.RunID) (weft.RunView, error) {
	panic("a defect")
}

func TestDefectsAreAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{Store: panicky{}})
	h, _ := listen(t, s)
	status, text, _ := ask(t, "GET", h.URL+"/api/runs/"+weft.NewID[weft.Run]().String(), "")
	if status != 500 || strings.Contains(text, "defect") || !strings.Contains(text, `"requestId":"`) {
		t.Errorf("%d %s", status, text)
	}
}
