package store

import (
	"context"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// Who may do what is asked at every request, and changes seldom. So it is remembered,
// for a second at most, and forgotten at once when this process changes it: a change by
// another replica takes effect within that second.
const (
	rememberFor = time.Second
	rememberAll = 10_000      // entries; beyond that all is forgotten, which costs a query each
	useEvery    = time.Minute // how exactly it is known when a credential was used last
)

// An access remembers principals by the hash of what they show, and projects by name.
type access struct {
	mu       sync.Mutex
	era      int // bumped whenever all is forgotten
	shown    map[[32]byte]shown
	projects map[string]seenProject

	touches sync.WaitGroup
}

// A shown is what is known of a credential.
type shown struct {
	who  weft.Principal
	used time.Time // last, as stored
	idle time.Duration
	read time.Time // from the database
}

type seenProject struct {
	weft.Project
	read time.Time
}

func newAccess() *access {
	return &access{shown: map[[32]byte]shown{}, projects: map[string]seenProject{}}
}

// forget makes everything be read again, even what is being read right now.
func (a *access) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.era++
	clear(a.shown)
	clear(a.projects)
}

// find returns what is known of a credential, by read if need be.
func (a *access) find(hash [32]byte, now time.Time, read func() (shown, error)) (shown, error) {
	a.mu.Lock()
	s, ok := a.shown[hash]
	era := a.era
	a.mu.Unlock()
	if ok && now.Sub(s.read) < rememberFor {
		return s, nil
	}
	s, err := read()
	if err != nil {
		return s, err
	}
	s.read = now
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.era == era {
		if len(a.shown) >= rememberAll {
			clear(a.shown)
		}
		a.shown[hash] = s
	}
	return s, nil
}

// used reports whether the use of a credential is to be stored, and takes note of it.
func (a *access) used(hash [32]byte, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.shown[hash]
	if !ok || now.Sub(s.used) < useEvery {
		return false
	}
	s.used = now
	a.shown[hash] = s
	return true
}

func (a *access) project(ctx context.Context, name string, read func() (weft.Project, error)) (weft.Project, error) {
	now := time.Now()
	a.mu.Lock()
	p, ok := a.projects[name]
	era := a.era
	a.mu.Unlock()
	if ok && now.Sub(p.read) < rememberFor {
		return p.Project, nil
	}
	found, err := read()
	if err != nil {
		return found, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.era == era {
		if len(a.projects) >= rememberAll {
			clear(a.projects)
		}
		a.projects[name] = seenProject{found, now}
	}
	return found, nil
}

// changeAccess is change, for what decides who may do what.
func (s *Store) changeAccess(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		t.after = append(t.after, s.access.forget)
		return fn(ctx, t)
	})
}

// principal reads who an account is, with its roles.
func (t *tx) roles(ctx context.Context, p *weft.Principal) error {
	p.Roles = map[weft.ProjectID]weft.Role{}
	return t.rows(ctx, func(r scanner) error {
		var project weft.ProjectID
		var role weft.Role
		err := r.Scan(&project, &role)
		p.Roles[project] = role
		return err
	}, "SELECT project, role FROM member WHERE principal = $1", p.ID)
}

// touch stores, aside from the request, that a credential is being used: at most once a
// minute, whatever the number of requests. What a crash loses is that minute.
func (s *Store) touch(hash [32]byte, table, from string, at time.Time) {
	if !s.access.used(hash, at) {
		return
	}
	s.access.touches.Go(func() {
		err := s.write(context.Background(), func(ctx context.Context, t *tx) error {
			set, args := "used_at = $1", []any{micros(at), hash[:]}
			if table == "token" {
				set, args = set+", used_from = $3", append(args, from)
			}
			_, err := t.exec(ctx, "UPDATE "+table+" SET "+set+" WHERE hash = $2 AND (used_at IS NULL OR used_at < $1)", args...)
			return err
		})
		if err != nil && weft.KindOf(err) != weft.Unavailable {
			s.log.Warn("it was not stored that a credential is in use", "error", err)
		}
	})
}
