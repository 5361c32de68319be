package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// A keyRing seals what is kept, each thing with a key of its own purpose.
type keyRing interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// A secretStore keeps secrets sealed; store.Store does.
type secretStore interface {
	SetSecret(ctx context.Context, v weft.Secret, sealed []byte) error
	Secrets(ctx context.Context, project weft.ProjectID) ([]weft.Secret, error)
	RemoveSecret(ctx context.Context, project weft.ProjectID, name string) error
	SealedSecrets(ctx context.Context, project weft.ProjectID, names []string) (map[string][]byte, error)
	AddGiven(ctx context.Context, a weft.Attempt, sealed []byte) error
	Given(ctx context.Context, a weft.Attempt) ([][]byte, error)
	SweepGiven(ctx context.Context) error
}

// secrets are the secrets of projects: sealed by the key ring wherever they are kept. A
// value is bound to its project and name, so that rows of the database cannot be swapped.
type secrets struct {
	store secretStore
	keys  keyRing
}

func secretPurpose(project weft.ProjectID, name string) string {
	return "secret of a project: " + project.String() + "/" + name
}

func givenPurpose(a weft.Attempt) string { return "secrets given to an attempt: " + a.String() }

// Set keeps a value.
func (s secrets) Set(ctx context.Context, v weft.Secret, value string) error {
	sealed, err := s.keys.Seal(secretPurpose(v.Project, v.Name), []byte(value))
	if err != nil {
		return fmt.Errorf("seal secret: %w", err)
	}
	return s.store.SetSecret(ctx, v, sealed)
}

// List lists what secrets there are.
func (s secrets) List(ctx context.Context, project weft.ProjectID) ([]weft.Secret, error) {
	return s.store.Secrets(ctx, project)
}

// Remove removes a secret.
func (s secrets) Remove(ctx context.Context, project weft.ProjectID, name string) error {
	return s.store.RemoveSecret(ctx, project, name)
}

// Missing implements engine.Secrets.
func (s secrets) Missing(ctx context.Context, project weft.ProjectID, names []string) ([]string, error) {
	found, err := s.store.SealedSecrets(ctx, project, names)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, name := range names {
		if found[name] == nil {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// Give implements engine.Secrets.
func (s secrets) Give(ctx context.Context, project weft.ProjectID, a weft.Attempt, names []string) (map[string]string, error) {
	found, err := s.store.SealedSecrets(ctx, project, names)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, name := range names {
		if found[name] == nil {
			return nil, weft.Errorf(weft.Unavailable, "the project has no secret %s any more", name)
		}
		plain, err := s.keys.Open(secretPurpose(project, name), found[name])
		if err != nil {
			return nil, fmt.Errorf("open secret %s: %w", name, err)
		}
		values[name] = string(plain)
	}
	return values, s.note(ctx, a, values)
}

// note keeps in mind what an attempt was given: when its start is repeated, maybe other
// values than before.
func (s secrets) note(ctx context.Context, a weft.Attempt, values map[string]string) error {
	had, err := s.given(ctx, a)
	if err != nil {
		return err
	}
	list := slices.Sorted(maps.Values(values))
	if !slices.ContainsFunc(list, func(v string) bool { return !slices.Contains(had, v) }) {
		return nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	sealed, err := s.keys.Seal(givenPurpose(a), text)
	if err != nil {
		return fmt.Errorf("seal secrets of attempt: %w", err)
	}
	return s.store.AddGiven(ctx, a, sealed)
}

func (s secrets) given(ctx context.Context, a weft.Attempt) ([]string, error) {
	rows, err := s.store.Given(ctx, a)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, sealed := range rows {
		text, err := s.keys.Open(givenPurpose(a), sealed)
		if err != nil {
			return nil, fmt.Errorf("open secrets of attempt %s: %w", a, err)
		}
		var list []string
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, fmt.Errorf("secrets of attempt %s: %w", a, err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// mask hides what an attempt was given.
func (s secrets) mask(ctx context.Context, a weft.Attempt) (weft.Mask, error) {
	values, err := s.given(ctx, a)
	return weft.NewMask(values), err
}

// Sweep implements engine.Secrets.
func (s secrets) Sweep(ctx context.Context) error { return s.store.SweepGiven(ctx) }

// maskLog hides in the log of an attempt that has ended what the attempt was given,
// before it is sealed. What the program has printed lies beside it until then, in files
// that nobody but the server can read. A log in which nothing is to be hidden stays as it
// is.
func (s secrets) maskLog(ctx context.Context, a weft.Attempt, dir string) error {
	mask, err := s.mask(ctx, a)
	if err != nil || mask.IsZero() {
		return err
	}
	name := filepath.Join(dir, executor.LogFile)
	from, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.CreateTemp(filepath.Dir(dir), ".masked-")
	if err != nil {
		return fmt.Errorf("mask log: %w", err)
	}
	_, err = io.Copy(to, &masked{log: from, mask: mask})
	if err = errors.Join(err, to.Close()); err == nil {
		err = os.Rename(to.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("mask log: %w", err), os.Remove(to.Name()))
	}
	return nil
}

// masked reads a log with values hidden. What may be the beginning of one is held back
// until more has come.
type masked struct {
	log    io.ReadCloser
	mask   weft.Mask
	text   []byte // read, and not looked at yet
	hidden []byte // to be handed out
	err    error
}

const maskChunk = 32 << 10

// Read implements io.Reader.
func (m *masked) Read(p []byte) (int, error) {
	for len(m.hidden) == 0 {
		if m.err != nil {
			return 0, m.err
		}
		m.text = slices.Grow(m.text, maskChunk)
		n, err := m.log.Read(m.text[len(m.text) : len(m.text)+maskChunk])
		m.text, m.err = m.text[:len(m.text)+n], err
		out, used := m.mask.Hide(m.hidden[:0], m.text, err != nil)
		m.hidden, m.text = out, append(m.text[:0], m.text[used:]...)
	}
	n := copy(p, m.hidden)
	m.hidden = m.hidden[n:]
	return n, nil
}

// Close implements io.Closer.
func (m *masked) Close() error { return m.log.Close() }

// openMasked masks a log of an attempt under way.
func (s secrets) openMasked(ctx context.Context, a weft.Attempt, log io.ReadCloser) (io.ReadCloser, error) {
	mask, err := s.mask(ctx, a)
	switch {
	case err != nil:
		return nil, errors.Join(err, log.Close())
	case mask.IsZero():
		return log, nil
	}
	return &masked{log: log, mask: mask}, nil
}
