package cli

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/weft-dev/weft"
)

// A Profile tells how to reach a server. It is what a knitprofile file holds. The
// token is the password of the URL, which is how the knit command sends it too.
type Profile struct {
	APIRoot string `yaml:"apiRoot"`
	Cert    struct {
		CA string `yaml:"ca,omitempty"` // base64 of PEM; if given, the only authority trusted
	} `yaml:"cert,omitempty"`
}

// NewProfile returns the profile of a server at a URL, such as http://127.0.0.1:8080,
// with a token and, in PEM, the certificate of its own authority; both may be empty.
func NewProfile(serverURL, token string, ca []byte) (Profile, error) {
	u, err := parseServerURL(serverURL)
	if err != nil {
		return Profile{}, err
	}
	if token != "" {
		u.User = url.UserPassword("weft", token)
	}
	p := Profile{APIRoot: u.String()}
	if len(ca) > 0 {
		p.Cert.CA = base64.StdEncoding.EncodeToString(ca)
	}
	return p, p.validate()
}

// parseServerURL reads a server's URL, with or without /api at its end.
func parseServerURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, weft.Errorf(weft.Invalid, "%q is not the URL of a server", hidePassword(s)).WithAdvice("write it like https://weft.example.org")
	}
	if u.Path = strings.TrimRight(u.Path, "/"); !strings.HasSuffix(u.Path, "/api") {
		u.Path += "/api"
	}
	return u, nil
}

// hidePassword cuts what could be a token from a URL that may be malformed.
func hidePassword(s string) string {
	if i := strings.LastIndex(s, "@"); i >= 0 {
		return "…" + s[i:]
	}
	return s
}

func (p Profile) validate() error {
	u, err := url.Parse(p.APIRoot)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return weft.Errorf(weft.Invalid, "apiRoot %q is not an absolute URL", hidePassword(p.APIRoot)).WithAdvice("write it like https://weft.example.org/api")
	}
	_, err = p.authority()
	return err
}

// authority returns the certificate of the authority to trust, in PEM, or nil for
// those of the system.
func (p Profile) authority() ([]byte, error) {
	if p.Cert.CA == "" {
		return nil, nil
	}
	text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(p.Cert.CA), ""))
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "cert.ca is not base64: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return nil, weft.Errorf(weft.Invalid, "cert.ca is not the base64 of a certificate in PEM")
	}
	return text, nil
}

// readProfile reads a knitprofile file.
func readProfile(path string) (Profile, error) {
	var p Profile
	text, err := os.ReadFile(path)
	if err != nil {
		return p, fileError(err)
	}
	if err := yaml.Unmarshal(text, &p); err != nil {
		return p, weft.Errorf(weft.Invalid, "%s is not a knitprofile: %w", path, err)
	}
	if err := p.validate(); err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// LocalProfile returns the path of the profile that weft serve leaves for the user
// who started it; it is used when nothing else says which server is meant.
func LocalProfile(home string) string { return filepath.Join(home, ".weft", "profile") }

// SaveProfile writes a knitprofile file that only its owner can read, in a directory
// that only its owner can enter.
func SaveProfile(path string, p Profile) error {
	if err := p.validate(); err != nil {
		return err
	}
	text, err := yaml.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode profile: %w", err)
	}
	return writePrivate(path, text)
}

// writePrivate replaces a file at once, readable by its owner only.
func writePrivate(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fileError(err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fileError(err)
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(fileError(err), os.Remove(tmp.Name()))
	}
	return nil
}

// A profileStore is a file that keeps profiles by name. Entries are kept as they
// are, so that what another program put into them survives.
type profileStore map[string]yaml.Node

func readProfileStore(path string) (profileStore, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return profileStore{}, nil
	}
	if err != nil {
		return nil, fileError(err)
	}
	s := profileStore{}
	if err := yaml.Unmarshal(text, &s); err != nil {
		return nil, weft.Errorf(weft.Invalid, "the profile store %s is damaged: %w", path, err)
	}
	return s, nil
}

// profile returns the one with that name.
func (s profileStore) profile(name string) (Profile, bool, error) {
	n, ok := s[name]
	if !ok {
		return Profile{}, false, nil
	}
	var p Profile
	if err := n.Decode(&p); err != nil {
		return p, true, weft.Errorf(weft.Invalid, "profile %q is damaged: %w", name, err)
	}
	if err := p.validate(); err != nil {
		return p, true, fmt.Errorf("profile %q: %w", name, err)
	}
	return p, true, nil
}

// put adds or replaces a profile and saves the store. As knit does, it keeps a backup
// until the new store is in place.
func (s profileStore) put(path, name string, p Profile) error {
	var n yaml.Node
	if err := n.Encode(p); err != nil {
		return fmt.Errorf("encode profile: %w", err)
	}
	s[name] = n
	var text bytes.Buffer
	if err := yaml.NewEncoder(&text).Encode(s); err != nil {
		return fmt.Errorf("encode profile store: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fileError(err)
	}
	backup := path + ".backup"
	if old, err := os.ReadFile(path); err == nil {
		if err := writePrivate(backup, old); err != nil {
			return err
		}
		defer os.Remove(backup) // left over, it would only be an old copy
	}
	return writePrivate(path, text.Bytes())
}

// nearest returns the path of a file in dir or in the closest directory above, or ""
// when there is none.
func nearest(dir, name string) string {
	for {
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && !info.IsDir() {
			return p
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// fileError gives an error of the file system the kind it has for the user.
func fileError(err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return weft.Errorf(weft.NotFound, "%w", err)
	case errors.Is(err, fs.ErrPermission):
		return weft.Errorf(weft.Forbidden, "%w", err)
	case errors.Is(err, fs.ErrExist):
		return weft.Errorf(weft.Conflict, "%w", err)
	}
	return err
}
