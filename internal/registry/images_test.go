package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/registry"
)

// as are the options by which a client signs in.
func as(user string) remote.Option {
	return remote.WithAuth(&authn.Basic{Username: user, Password: "secret"})
}

func (s *system) ref(repoAndTag string) name.Reference {
	s.t.Helper()
	ref, err := name.ParseReference(s.host + "/" + repoAndTag)
	if err != nil {
		s.t.Fatal(err)
	}
	return ref
}

func randomImage(t testing.TB) v1.Image {
	t.Helper()
	return imageFor(t, runtime.GOARCH)
}

func imageFor(t testing.TB, architecture string) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for range 3 {
		layer, err := random.Layer(10_000, types.OCILayer)
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.OS, config.Architecture = "linux", architecture
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// randomIndex is an index with an image for this platform, and one for another.
func randomIndex(t testing.TB, mine v1.Image) v1.ImageIndex {
	t.Helper()
	return mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: imageFor(t, "s390x"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}},
		mutate.IndexAddendum{Add: mine, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}})
}

func digestOfImage(t testing.TB, img interface{ Digest() (v1.Hash, error) }) weft.Digest {
	t.Helper()
	h, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	d, err := weft.ParseDigest(h.String())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRemoteClient(t *testing.T) {
	t.Parallel()
	s := setup(t)
	img := randomImage(t)
	if err := remote.Write(s.ref("team/app:v1"), img, as("ann")); err != nil {
		t.Fatal(err)
	}
	got, err := remote.Image(s.ref("team/app:v1"), as("ann"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
	if err := remote.Write(s.ref("team/copy:v1"), got, as("ann")); err != nil { // mounts
		t.Fatal(err)
	}
	idx := randomIndex(t, img)
	if err := remote.WriteIndex(s.ref("team/multi:v1"), idx, as("ann")); err != nil {
		t.Fatal(err)
	}
	gotIndex, err := remote.Index(s.ref("team/multi:v1"), as("ann"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(gotIndex); err != nil {
		t.Error(err)
	}
	tags, err := remote.List(s.ref("team/app").Context(), as("ann"), remote.WithPageSize(1))
	if err != nil || strings.Join(tags, " ") != "v1" {
		t.Errorf("tags: %v %v", tags, err)
	}
	if _, err := remote.Image(s.ref("team/app:v1"), as("bob")); err == nil {
		t.Error("another project reads the image")
	}
	if err := remote.Delete(s.ref("team/app:v1"), as("ann")); err != nil {
		t.Error(err)
	}
	s.nothingUnfinished()
}

func (s *system) images() *registry.Images {
	im := registry.NewImages(s.catalog, s.content, []string{s.host}, slog.New(slog.DiscardHandler))
	im.Keychain = authn.NewMultiKeychain(keychain{})
	return im
}

// A keychain signs in as ann everywhere.
type keychain struct{}

func (keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "ann", Password: "secret"}, nil
}

func image(t testing.TB, s string) weft.Image {
	t.Helper()
	img, err := weft.ParseImage(s)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestResolveEmbedded(t *testing.T) {
	t.Parallel()
	s := setup(t)
	img := randomImage(t)
	if err := remote.Write(s.ref("team/app:v1"), img, as("ann")); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(s.ref("team/multi:v1"), randomIndex(t, img), as("ann")); err != nil {
		t.Fatal(err)
	}
	im := s.images()
	want := digestOfImage(t, img)
	for _, n := range []string{"localhost:30503/team/app:v1", s.host + "/team/app:v1", "team/app:v1", "team/multi:v1", "localhost:30503/team/multi:v1"} {
		got, err := im.Resolve(t.Context(), projectOf("ann"), image(t, n))
		if err != nil || got != want {
			t.Errorf("%s: got %s %v, want %s", n, got, err, want)
		}
	}
	_, err := im.Resolve(t.Context(), projectOf("bob"), image(t, "localhost:30503/team/app:v1"))
	var e *weft.Error
	if !errors.As(err, &e) || e.Kind != weft.NotFound || !strings.Contains(e.Message, "not in the embedded registry") || !strings.Contains(e.Advice, "weft image push") {
		t.Errorf("got %v", err)
	}
	config, err := im.Config(t.Context(), want)
	if err != nil || len(config.RootFS.DiffIDs) != 3 {
		t.Errorf("config: %v %v", config, err)
	}
}

// However people call this machine, they mean its own registry.
func TestResolveOwnNames(t *testing.T) {
	t.Parallel()
	s := setup(t)
	img := randomImage(t)
	if err := remote.Write(s.ref("team/app:v1"), img, as("ann")); err != nil {
		t.Fatal(err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for listen, names := range map[string][]string{
		"127.0.0.1:5": {"localhost:5", "127.0.0.1:5", "localhost:30503"},
		"0.0.0.0:5":   {"localhost:5", "127.0.0.1:5", strings.ToLower(hostname) + ":5"},
		"[::]:5":      {"localhost:5"},
		"10.1.1.1:5":  {"10.1.1.1:5"},
		"weft.lan:5":  {"weft.lan:5"},
	} {
		im := registry.NewImages(s.catalog, s.content, []string{listen}, slog.New(slog.DiscardHandler))
		for _, n := range names {
			got, err := im.Resolve(t.Context(), projectOf("ann"), image(t, n+"/team/app:v1"))
			if err != nil || got != digestOfImage(t, img) {
				t.Errorf("%s at %s: got %s %v", n, listen, got, err)
			}
		}
	}
}

// A hundred Runs that start together pull once.
func TestPullOnce(t *testing.T) {
	t.Parallel()
	other, s := setup(t), setup(t)
	if err := remote.Write(other.ref("app:v1"), randomImage(t), as("ann")); err != nil {
		t.Fatal(err)
	}
	var gets atomic.Int64
	im := s.images()
	im.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			gets.Add(1)
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := im.Resolve(t.Context(), projectOf("ann"), image(t, other.host+"/app:v1")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := gets.Load(); got != 4 {
		t.Errorf("%d blobs were fetched, want 3 layers and a configuration", got)
	}
}

func TestResolveOtherPlatform(t *testing.T) {
	t.Parallel()
	s := setup(t)
	idx := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: imageFor(t, "s390x"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}})
	if err := remote.WriteIndex(s.ref("team/multi:v1"), idx, as("ann")); err != nil {
		t.Fatal(err)
	}
	_, err := s.images().Resolve(t.Context(), projectOf("ann"), image(t, "localhost:30503/team/multi:v1"))
	if weft.KindOf(err) != weft.NotFound || !strings.Contains(err.Error(), "linux/"+runtime.GOARCH) {
		t.Errorf("got %v", err)
	}
}

// Other registries are another system's, so that nothing is shared by accident.
func TestPull(t *testing.T) {
	t.Parallel()
	other, s := setup(t), setup(t)
	mine, plain := randomImage(t), randomImage(t)
	if err := remote.WriteIndex(other.ref("team/multi:v1"), randomIndex(t, mine), as("ann")); err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(other.ref("team/plain:v1"), plain, as("ann")); err != nil {
		t.Fatal(err)
	}
	im := s.images()
	for _, tt := range []struct {
		name string
		want v1.Image
	}{{"multi", mine}, {"plain", plain}} {
		got, err := im.Resolve(t.Context(), projectOf("ann"), image(t, other.host+"/team/"+tt.name+":v1"))
		if err != nil || got != digestOfImage(t, tt.want) {
			t.Fatalf("%s: got %s %v", tt.name, got, err)
		}
		if _, err := im.Config(t.Context(), got); err != nil {
			t.Error(err)
		}
		cached := s.ref("cache/" + strings.ReplaceAll(other.host, ":", "-") + "/team/" + tt.name + "@" + got.String())
		img, err := remote.Image(cached, as("ann"))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(img); err != nil {
			t.Error(err)
		}
	}
	if _, err := im.Resolve(t.Context(), projectOf("ann"), image(t, other.host+"/team/none:v1")); weft.KindOf(err) != weft.NotFound {
		t.Errorf("an image that is not there: %v", err)
	}
	s.nothingUnfinished()
}

// A project pulls with its own credentials, and with nobody else's.
func TestPullWithOwnCredentials(t *testing.T) {
	t.Parallel()
	other, s := setup(t), setup(t)
	img := randomImage(t)
	if err := remote.Write(other.ref("team/app:v1"), img, as("ann")); err != nil {
		t.Fatal(err)
	}
	im := s.images()
	im.Keychain = authn.NewMultiKeychain() // the server itself has none
	var asked []string
	im.Login = func(_ context.Context, project weft.ProjectID, host string) (string, string, bool, error) {
		asked = append(asked, host)
		return "ann", "secret", project == projectOf("ann"), nil
	}
	n := image(t, other.host+"/team/app:v1")
	if got, err := im.Resolve(t.Context(), projectOf("ann"), n); err != nil || got != digestOfImage(t, img) {
		t.Errorf("with credentials: %s %v", got, err)
	}
	_, err := im.Resolve(t.Context(), projectOf("bob"), n)
	var e *weft.Error
	if !errors.As(err, &e) || e.Kind != weft.NotFound || !strings.Contains(e.Advice, "weft image login "+other.host) {
		t.Errorf("without: %v", err)
	}
	if len(asked) != 2 || asked[0] != other.host {
		t.Errorf("asked for the credentials of %v", asked)
	}
}

func TestPullAgain(t *testing.T) {
	t.Parallel()
	other, s := setup(t), setup(t)
	img := randomImage(t)
	if err := remote.Write(other.ref("app:v1"), img, as("ann")); err != nil {
		t.Fatal(err)
	}
	n := image(t, other.host+"/app:v1")
	if _, err := s.images().Resolve(t.Context(), projectOf("ann"), n); err != nil {
		t.Fatal(err)
	}
	var asked []string
	im := s.images() // remembers nothing
	im.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path != "/v2/" {
			asked = append(asked, r.Method+" "+r.URL.Path)
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	for range 2 {
		got, err := im.Resolve(t.Context(), projectOf("ann"), n)
		if err != nil || got != digestOfImage(t, img) {
			t.Fatalf("got %s %v", got, err)
		}
	}
	if want := []string{"HEAD /v2/app/manifests/v1"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}

	other.server.Close()
	im = s.images()
	if got, err := im.Resolve(t.Context(), projectOf("ann"), n); err != nil || got != digestOfImage(t, img) {
		t.Errorf("the registry is away, the image is here: %s %v", got, err)
	}
	if _, err := im.Resolve(t.Context(), projectOf("bob"), n); weft.KindOf(err) != weft.Unavailable {
		t.Errorf("the registry is away, the image is not here: %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A registry that sends other bytes than it promised leaves nothing here.
func TestPullDamaged(t *testing.T) {
	t.Parallel()
	other, s := setup(t), setup(t)
	img := randomImage(t)
	if err := remote.Write(other.ref("app:v1"), img, as("ann")); err != nil {
		t.Fatal(err)
	}
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		other.handler.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		body := rec.Body.Bytes()
		if strings.Contains(r.URL.Path, "/blobs/") && len(body) > 5000 {
			body[4000] ^= 1
		}
		_, _ = w.Write(body)
	}))
	defer liar.Close()
	_, err := s.images().Resolve(t.Context(), projectOf("ann"), image(t, strings.TrimPrefix(liar.URL, "http://")+"/app:v1"))
	if err == nil {
		t.Fatal("a damaged layer was taken")
	}
	s.nothingUnfinished()
}

func TestTruncatedUpload(t *testing.T) {
	t.Parallel()
	s := setup(t)
	blob := bytes.Repeat([]byte("abcdefgh"), 1<<17)
	at := s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
	send := func(method, url string, n int) {
		r, err := http.NewRequestWithContext(context.Background(), method, s.server.URL+url, io.MultiReader(bytes.NewReader(blob[:n]), broken{}))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = int64(len(blob))
		r.SetBasicAuth("ann", "secret")
		r.Header.Set("Breaks-Off", "yes")
		if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
			resp.Body.Close()
			t.Fatalf("half a body was answered with %d", resp.StatusCode)
		}
		<-s.broken
	}
	send("PATCH", at, 500_000)
	send("POST", "/v2/r/blobs/uploads/?digest="+digestOf(string(blob)), 500_000)
	s.do("ann", "GET", "/v2/r/blobs/"+digestOf(string(blob)), "").want(404, "BLOB_UNKNOWN")

	// What arrived is kept, and the client goes on from there.
	status := s.do("ann", "GET", at, "").want(204, "").head.Get("Range")
	have := atoi(t, strings.TrimPrefix(status, "0-")) + 1
	s.do("ann", "PUT", at+"?digest="+digestOf(string(blob)), string(blob[have:])).want(201, "")
	if got := s.do("ann", "GET", "/v2/r/blobs/"+digestOf(string(blob)), "").want(200, ""); got.body != string(blob) {
		t.Error("the resumed upload differs")
	}
	s.nothingUnfinished()
}

// broken is where a connection breaks.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the client is gone") }
