package store

import (
	"context"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// Who may do what is asked at every request, and changes seldom. So it is remembered.
// This process forgets it at once when it changes anything; for changes by another replica
// it looks, at most a second later, whether the revision of all rights is still the same.
const (
	lookEvery   = time.Second
	rememberFor = time.Minute
	rememberAll = 10_000      // entries; beyond that all is forgotten, which costs a query each
	useEvery    = time.Minute // how exactly it is known when a credential was used last
)

// An access remembers principals by the hash of what they show, and projects by name.
type access struct {
	looking sync.Mutex // held by the one who looks

	mu       sync.Mutex
	rev      int64     // of all rights, when they were looked at last
	looked   time.Time // when that was
	era      int       // bumped whenever all is forgotten
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

// drop makes one credential be read again.
func (a *access) drop(hash [32]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.shown, hash)
}

// current makes sure that what is remembered was right a second ago. One request looks,
// and those that come meanwhile wait for what it sees.
func (a *access) current(read func() (rev int64, err error)) error {
	due := func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return time.Since(a.looked) >= lookEvery
	}
	if !due() {
		return nil
	}
	a.looking.Lock()
	defer a.looking.Unlock()
	if !due() {
		return nil
	}
	at := time.Now()
	rev, err := read()
	if err != nil {
		return err
	}
	a.mu.Lock()
	changed := rev != a.rev
	a.rev, a.looked = rev, at
	a.mu.Unlock()
	if changed {
		a.forget()
	}
	return nil
}

// remembered returns what is known, by read if need be: get looks it up and put keeps it,
// both with the lock held.
func remembered[T any](a *access, get func() (T, bool), read func() (T, error), put func(T)) (T, error) {
	a.mu.Lock()
	v, ok := get()
	era := a.era
	a.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := read()
	if err != nil {
		return v, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.era == era {
		put(v)
	}
	return v, nil
}

// find returns what is known of a credential.
func (a *access) find(hash [32]byte, now time.Time, read func() (shown, error)) (shown, error) {
	return remembered(a, func() (shown, bool) {
		s, ok := a.shown[hash]
		return s, ok && now.Sub(s.read) < rememberFor
	}, read, func(s shown) {
		if len(a.shown) >= rememberAll {
			clear(a.shown)
		}
		s.read = now
		a.shown[hash] = s
	})
}

// project returns what is known of the project of that name.
func (a *access) project(name string, now time.Time, read func() (weft.Project, error)) (weft.Project, error) {
	return remembered(a, func() (weft.Project, bool) {
		p, ok := a.projects[name]
		return p.Project, ok && now.Sub(p.read) < rememberFor
	}, read, func(p weft.Project) {
		if len(a.projects) >= rememberAll {
			clear(a.projects)
		}
		a.projects[name] = seenProject{p, now}
	})
}

// currentAccess makes sure that what is remembered of rights was right a second ago.
func (s *Store) currentAccess(ctx context.Context) error {
	return s.access.current(func() (rev int64, err error) {
		err = s.read(ctx, func(t *tx) error {
			_, err := t.row(ctx, "SELECT rev FROM access_rev", nil, &rev)
			return err
		})
		return rev, err
	})
}

// rightsChange makes every replica forget who may do what, once the transaction is
// committed.
func (t *tx) rightsChange(ctx context.Context) error {
	t.after = append(t.after, t.s.access.forget)
	_, err := t.exec(ctx, "UPDATE access_rev SET rev = rev + 1")
	return err
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

// changeAccess is change, for what decides who may do what.
func (s *Store) changeAccess(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		if err := fn(ctx, t); err != nil {
			return err
		}
		return t.rightsChange(ctx)
	})
}

// roles reads which roles an account has.
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
