package importer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/content"
)

// purpose keeps the handshake's tokens apart from all else that the keys sign.
const purpose = "import"

// tokenLife is how long the signature counts; the handshake itself ends earlier.
const tokenLife = 3 * time.Hour

// claims are those of Knitfab: sub is where the content is to be put, which there is the
// name of a volume claim.
type claims struct {
	jwt.RegisteredClaims
	Data string `json:"knitfab/knitId"`
	Run  string `json:"knitfab/runId"`
}

// Begin begins a handshake for a project: a Run of knit#imported is running from now on.
// The token that it returns names, as its sub, what is to be put into the inbox: a
// directory of that name, or a tar (NAME.tar, NAME.tar.gz, NAME.tgz).
func (im *Importer) Begin(ctx context.Context, project weft.ProjectID, by weft.PrincipalID) (string, error) {
	now := time.Now().UTC()
	i := weft.Import{
		ID: weft.NewID[weft.Run](), Project: project, Data: weft.NewID[weft.Data](), By: by,
		State: weft.ImportOpen, Until: now.Add(weft.HandshakeLife),
	}
	c := claims{Data: i.Data.String(), Run: i.ID.String()}
	c.ID, c.Subject = weft.NewID[weft.Import]().String(), placeOf(i.Data)
	c.IssuedAt, c.ExpiresAt = jwt.NewNumericDate(now), jwt.NewNumericDate(now.Add(tokenLife))
	token, err := im.Keys.Sign(purpose, c)
	if err != nil {
		return "", err
	}
	return token, im.Store.AddImport(ctx, i)
}

func placeOf(data weft.DataID) string { return "data-" + data.String() }

// End ends a handshake. Unauthenticated is what is no token of Begin, or too old; Conflict
// a Run that is not running any more, or not this project's; Invalid content that is not
// there, or not yet as it must be: then the handshake goes on.
func (im *Importer) End(ctx context.Context, project weft.ProjectID, by weft.PrincipalID, token string) (weft.DataView, error) {
	var c claims
	if err := im.Keys.Verify(purpose, token, &c); err != nil {
		return weft.DataView{}, err
	}
	run, err1 := weft.ParseID[weft.Run](c.Run)
	data, err2 := weft.ParseID[weft.Data](c.Data)
	if err1 != nil || err2 != nil || c.Subject != placeOf(data) {
		return weft.DataView{}, weft.Errorf(weft.Unauthenticated, "the token is not one of an import")
	}
	if open, err := im.Store.OpenImport(ctx, project, run); err != nil {
		return weft.DataView{}, err
	} else if open != data {
		return weft.DataView{}, weft.Errorf(weft.Unauthenticated, "the token is not one of this import")
	}
	pin := "import " + run.String()
	tree, name, err := im.takeIn(ctx, pin, c.Subject)
	if err != nil {
		if weft.KindOf(err) == weft.Conflict { // of the files; the handshake itself can go on
			err = weft.Errorf(weft.Invalid, "%s", inWords(err))
		}
		return weft.DataView{}, errors.Join(err, im.Store.Release(context.WithoutCancel(ctx), pin))
	}
	v, err := im.Store.EndImport(ctx, weft.Push{
		Project: project, By: by, Plan: weft.PlanImported, Run: run, Data: data, Tree: tree, Pin: pin,
		Origin: weft.Origin{URL: "file://" + name}, At: time.Now().UTC(),
	})
	if err != nil {
		return v, err
	}
	if err := content.RemoveTaken(name); err != nil { // it is kept twice, or by two names
		im.Log.WarnContext(ctx, "what was imported is still in the inbox", "name", name, "error", err)
	}
	return v, nil
}

// takeIn makes what was put into the inbox the server's own.
func (im *Importer) takeIn(ctx context.Context, pin, sub string) (tree weft.Tree, name string, err error) {
	until := time.Now().Add(pinFor)
	for _, end := range []string{"", ".tar", ".tar.gz", ".tgz"} {
		name = filepath.Join(im.Inbox, sub+end)
		info, err := os.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return tree, name, err
		case end == "" && !info.IsDir() || end != "" && !info.Mode().IsRegular():
			return tree, name, weft.Errorf(weft.Invalid, "%s is neither a directory nor an archive; links are not followed", name)
		}
		f, err := os.OpenFile(name, os.O_RDONLY|noFollow, 0)
		if err != nil {
			return tree, name, err
		}
		defer f.Close()
		if end == "" {
			tree, err = im.Content.PutDir(ctx, pin, until, f, content.Take, nil)
			return tree, name, err
		}
		in := im.Content.NewIntake(pin, until)
		defer in.Close()
		if err = takeFile(ctx, in, filepath.Base(name), info.Size(), f); err == nil {
			tree, err = in.Finish(ctx)
		}
		return tree, name, err
	}
	return tree, name, weft.Errorf(weft.Invalid, "nothing is there (yet) at %s", filepath.Join(im.Inbox, sub)).
		WithAdvice("put a directory of that name there, or a .tar or .tar.gz, and then try again")
}
