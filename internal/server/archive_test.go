package server

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weft-dev/weft/api"
)

// pushRaw sends an archive with a trailer, as knit does.
func (r *real) pushRaw(t testing.TB, body []byte, sum string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.http.URL+"/api/data/", io.MultiReader(bytes.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("weft", testToken)
	req.Header.Set("Content-Type", "application/tar+gzip")
	if sum != "" {
		req.Trailer = http.Header{"X-Checksum-Md5": {sum}}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func md5Of(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func TestTheTrailerOfAPushIsVerified(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	body := archive(t, "a=b")
	for name, c := range map[string]struct {
		sum    string
		status int
	}{
		"none": {"", 200}, "right": {md5Of(body), 200}, "upper case": {strings.ToUpper(md5Of(body)), 200}, "wrong": {md5Of(nil), 400},
	} {
		if res := r.pushRaw(t, body, c.sum); res.StatusCode != c.status {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	n := 0
	for range r.client.FindData(t.Context(), api.DataQuery{}) {
		n++
	}
	if n != 3 {
		t.Errorf("%d data: a push that is refused must leave nothing", n)
	}
}

func TestDamagedArchivesLeaveNothing(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	whole := archive(t, "a=b", "c="+strings.Repeat("d", 1000))
	var noTar bytes.Buffer
	z := gzip.NewWriter(&noTar)
	if _, err := z.Write([]byte("this is no tar")); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"empty": nil, "no gzip": []byte("this is no gzip"), "no tar": noTar.Bytes(), "truncated": whole[:len(whole)/2], "truncated at the end": whole[:len(whole)-1],
		"outside": archive(t, "../a=b"), "absolute outside": archive(t, "a/../../b=c"), "through a link": archive(t, "l->/etc", "l/passwd=x"),
	} {
		if res := r.pushRaw(t, body, ""); res.StatusCode != 400 {
			text, _ := io.ReadAll(res.Body)
			t.Errorf("%s: %d %s", name, res.StatusCode, text)
		}
	}
	for range r.client.FindData(t.Context(), api.DataQuery{}) {
		t.Error("something was left behind")
	}
}

func TestAPushThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	cause := errors.New("the client is gone")
	_, err := r.client.PushArchive(t.Context(), io.MultiReader(bytes.NewReader(archive(t, "a=b")[:20]), failing{cause}))
	if err == nil {
		t.Fatal("it must fail")
	}
	for range r.client.FindData(t.Context(), api.DataQuery{}) {
		t.Error("something was left behind")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestTheTrailerOfAPullIsRight reads it as knit does, on each version of HTTP.
func TestTheTrailerOfAPullIsRight(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	d := r.push(t, []string{"dir/a=b", "link->dir/a", "big=" + strings.Repeat("0123456789", 100_000)})
	h2 := httptest.NewUnstartedServer(r.Server)
	h2.EnableHTTP2 = true
	h2.StartTLS()
	t.Cleanup(h2.Close)
	for version, c := range map[int]struct {
		url    string
		client *http.Client
	}{1: {r.http.URL, http.DefaultClient}, 2: {h2.URL, h2.Client()}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/api/data/"+d.KnitID, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("weft", testToken)
		res, err := c.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, announced := res.Trailer["X-Checksum-Md5"]; !announced || res.ProtoMajor != version || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/tar+gzip" {
			t.Errorf("HTTP/%d: %d %v %v", res.ProtoMajor, res.StatusCode, res.Header, res.Trailer)
		}
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Trailer.Get("X-Checksum-Md5"); got != md5Of(b) {
			t.Errorf("HTTP/%d: the trailer is %q, the body's sum %s", version, got, md5Of(b))
		}
	}
	body, err := r.client.PullArchive(t.Context(), d.KnitID)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Error(err)
	}
}

func TestMetricsCountByRoute(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	d := r.push(t, []string{"a=b"})
	if _, err := r.client.Data(t.Context(), d.KnitID); err != nil {
		t.Fatal(err)
	}
	ask(t, "GET", r.http.URL+"/api/nothing", "")
	_, text, _ := ask(t, "GET", r.http.URL+"/metrics", "")
	for _, want := range []string{
		`weft_http_requests_total{method="GET",route="/api/data/{id}/detail",status="200"} 1`,
		`weft_http_requests_total{method="POST",route="/api/data",status="200"} 1`,
		`weft_http_requests_total{method="any",route="none",status="404"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}

func TestTheTimestampThatIsShownIsFound(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	d := r.push(t, []string{"a=b"})
	for got, err := range r.client.FindData(t.Context(), api.DataQuery{Tags: []string{d.Tags[1].String()}}) {
		if err != nil || got.KnitID != d.KnitID {
			t.Errorf("%+v %v", got, err)
		}
		return
	}
	t.Errorf("nothing has the tag %s", d.Tags[1])
}
