package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/weft-dev/weft"
)

// amazon is where buckets are when nothing else is said.
const amazon = "https://s3.amazonaws.com"

// A bucket is the objects of a bucket whose keys have a prefix.
type bucket struct {
	client *minio.Client
	name   string
	prefix string
	host   string
}

// bucket finds the credentials that the import names; without a name it is anonymous.
func (im *Importer) bucket(ctx context.Context, i weft.Import, u *url.URL) (source, error) {
	c := Credentials{}
	if i.Credentials != "" {
		var err error
		if c, err = im.Credentials(ctx, i.Project, i.Credentials); err != nil {
			return nil, err
		}
	}
	if c.Endpoint == "" {
		c.Endpoint = amazon
	}
	at, err := url.Parse(c.Endpoint)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" || strings.Trim(at.Path, "/") != "" {
		return nil, weft.Errorf(weft.Invalid, "the endpoint of the credentials %q is not a URL like https://s3.example.com", i.Credentials)
	}
	options := &minio.Options{Secure: at.Scheme == "https", Region: c.Region, Transport: im.transport(), Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, "")}
	if c.AccessKey == "" {
		options.Creds = credentials.NewStatic("", "", "", credentials.SignatureAnonymous)
	}
	client, err := minio.New(at.Host, options)
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "the place of the bucket cannot be used: %w", err)
	}
	return &bucket{client, u.Host, strings.TrimPrefix(u.Path, "/"), at.Host}, nil
}

func (im *Importer) transport() http.RoundTripper {
	if im.Client.Transport != nil {
		return im.Client.Transport
	}
	return http.DefaultTransport
}

// fetch brings in each object under its key without the prefix; a prefix that is a key
// itself is that one object. The version is a digest over all keys and ETags, or the ETag
// of the one. An object that is replaced meanwhile ends it.
func (b *bucket) fetch(ctx context.Context, j *job) (tree weft.Tree, version string, err error) {
	objects, err := b.list(ctx)
	if err != nil {
		return tree, "", err
	}
	total, seen := int64(0), sha256.New()
	for _, o := range objects {
		total += o.Size
		fmt.Fprintf(seen, "%q %q\n", o.Key, o.ETag)
	}
	j.total.Store(total)
	if err := j.Content.Room(total); err != nil {
		return tree, "", err
	}
	in := j.intake()
	defer in.Close()
	for _, o := range objects {
		if err := b.object(ctx, in.File, o); err != nil {
			return tree, "", err
		}
	}
	version = "sha256:" + hex.EncodeToString(seen.Sum(nil))
	if len(objects) == 1 {
		version = objects[0].ETag
	}
	tree, err = in.Finish(ctx)
	return tree, version, err
}

// list returns the objects. Keys that end in / stand for directories, and hold nothing.
func (b *bucket) list(ctx context.Context) ([]minio.ObjectInfo, error) {
	ctx, alive, done := watch(ctx)
	defer done()
	var found []minio.ObjectInfo
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix, Recursive: true}) {
		alive()
		switch {
		case o.Err != nil:
			return nil, b.explain(o.Err)
		case o.Key == b.prefix && !strings.HasSuffix(o.Key, "/"):
			return []minio.ObjectInfo{o}, nil
		case strings.HasSuffix(o.Key, "/"):
		case b.prefix == "" || strings.HasSuffix(b.prefix, "/") || strings.HasPrefix(o.Key, b.prefix+"/"):
			found = append(found, o)
		}
	}
	if len(found) == 0 {
		return nil, weft.Errorf(weft.NotFound, "there is nothing at s3://%s/%s", b.name, b.prefix)
	}
	return found, ctx.Err()
}

func (b *bucket) object(ctx context.Context, take func(context.Context, string, uint32, int64, io.Reader) error, o minio.ObjectInfo) error {
	var options minio.GetObjectOptions
	if o.ETag != "" {
		if err := options.SetMatchETag(o.ETag); err != nil {
			return fmt.Errorf("ask for object: %w", err)
		}
	}
	watched, alive, done := watch(ctx)
	defer done()
	r, err := b.client.GetObject(watched, b.name, o.Key, options)
	if err != nil {
		return b.explain(err)
	}
	defer r.Close()
	name := strings.TrimPrefix(strings.TrimPrefix(o.Key, b.prefix), "/")
	if o.Key == b.prefix {
		name = path.Base(o.Key)
	}
	body := &brokenOff{r: r, host: b.host, alive: alive}
	const readable = 0o644
	err = take(ctx, name, readable, o.Size, body)
	var answer minio.ErrorResponse
	if errors.As(err, &answer) {
		return b.explain(answer)
	}
	return err
}

// explain says in words what the place answered. Its own message may be long, and hold
// what it was sent.
func (b *bucket) explain(err error) error {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return explainRemote(&url.URL{Host: b.host}, err)
	}
	switch answer.StatusCode {
	case 0: // the client library could not make anything of it
		return weft.Errorf(weft.Unavailable, "%s does not answer as S3 does (%s)", b.host, answer.Code).WithAdvice("check the endpoint of the credentials")
	case http.StatusForbidden, http.StatusUnauthorized:
		return weft.Errorf(weft.Invalid, "%s does not give out the bucket %s with these credentials (%s)", b.host, b.name, answer.Code).
			WithAdvice("name others with --credentials")
	case http.StatusNotFound:
		return weft.Errorf(weft.NotFound, "%s has no bucket %s, or no such object (%s)", b.host, b.name, answer.Code)
	case http.StatusPreconditionFailed:
		return weft.Errorf(weft.Conflict, "an object of the bucket %s was replaced meanwhile", b.name).WithAdvice("import it again")
	}
	return weft.Errorf(weft.Unavailable, "%s answered %d %s", b.host, answer.StatusCode, answer.Code).WithAdvice("try again")
}
