package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type imagePushOptions struct {
	*common
}

func newImagePush(c *common) *cobra.Command {
	o := imagePushOptions{common: c}
	cmd := &cobra.Command{
		Use:   "push SOURCE [NAME:TAG]",
		Short: "Push images into the server's registry",
		Long: `Push images into the server's registry. SOURCE is the archive that docker save or podman save
writes, an OCI layout (a directory or an archive of one), - for such an archive on standard
input, or the name of an image in another registry.

The images keep their names, without the registry, unless NAME:TAG gives one. What is printed is
how plans name them.`,
		Example: `  docker save trainer:v1 | weft image push -
  weft image push docker.io/library/python:3.13 base/python:3.13`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			called, err := o.parse(args)
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), args[0], called)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

// parse returns the name to give, or a zero one for the source's own.
func (o *imagePushOptions) parse(args []string) (weft.Image, error) {
	if len(args) < 2 {
		return weft.Image{}, nil
	}
	return imageName(args[1])
}

func (o *imagePushOptions) do(ctx context.Context, source string, called weft.Image) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	cluster, err := client.Cluster(ctx)
	if err != nil {
		return err
	}
	path, forget, err := o.sourcePath(source)
	if err != nil {
		return err
	}
	defer forget()
	images, closeSource, err := openImages(ctx, path)
	if err != nil {
		return err
	}
	pushed, err := o.pushAll(ctx, client, images, called, cluster.Registry)
	if err = errors.Join(err, closeSource()); err != nil {
		return err
	}
	if o.format == formatJSON {
		return writeJSON(o.Out, pushed)
	}
	st := o.style(o.Out)
	t := table{head: []string{"IMAGE", "DIGEST"}}
	for _, p := range pushed {
		t.add(p.Image, p.Digest)
	}
	return t.print(o.Out, st, 0)
}

// sourcePath returns where the source is, after copying it to a temporary file if it
// comes from standard input, as it must be read in any order.
func (o *imagePushOptions) sourcePath(source string) (path string, forget func(), err error) {
	if source != "-" {
		if _, err := os.Stat(o.path(source)); err == nil {
			source = o.path(source)
		}
		return source, func() {}, nil
	}
	f, err := os.CreateTemp("", "weft-image-*.tar")
	if err != nil {
		return "", nil, fileError(err)
	}
	forget = func() { os.Remove(f.Name()) } // in the system's temporary directory it may stay
	_, err = io.Copy(f, o.In)
	if err = errors.Join(err, f.Close()); err != nil {
		forget()
		return "", nil, fmt.Errorf("read the image from standard input: %w", err)
	}
	return f.Name(), forget, nil
}

// A pushedImage is what image push prints.
type pushedImage struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
}

func (o *imagePushOptions) pushAll(ctx context.Context, client *api.Client, images []namedImage, called weft.Image, registry string) ([]pushedImage, error) {
	if !called.IsZero() && len(images) != 1 {
		return nil, weft.Errorf(weft.Invalid, "the source holds %d images, which cannot all be called %s", len(images), called).
			WithAdvice("leave the name out; they keep their own")
	}
	transport, err := o.transport()
	if err != nil {
		return nil, err
	}
	to := pushTarget{base: client.Base(), token: client.Token(), transport: inProject{transport, o.projectName()}, agent: "weft/" + o.Version}
	var pushed []pushedImage
	for _, image := range images {
		as := called
		if as.IsZero() {
			if as, err = imageName(image.name); err != nil {
				return nil, weft.Errorf(weft.Invalid, "the source does not say what the image is called").WithAdvice("add a name: weft image push SOURCE NAME:TAG")
			}
		}
		bar := o.progress("push " + as.String())
		digest, err := pushImage(ctx, to, as, image, func(done, total int64) {
			bar.total(total)
			bar.at(done)
		})
		bar.end()
		if err != nil {
			return nil, err
		}
		pushed = append(pushed, pushedImage{registry + "/" + as.String(), digest})
	}
	return pushed, nil
}

// transport reaches the server as the profile says, for the registry's protocol.
func (c *common) transport() (http.RoundTripper, error) {
	p, err := c.server()
	if err != nil {
		return nil, err
	}
	ca, err := p.authority()
	if err != nil {
		return nil, err
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	if ca != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca) // validated with the profile
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return tr, nil
}
