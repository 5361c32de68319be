package content

import (
	"os"
	"path/filepath"
	"sync"
)

// persist makes files and their names durable: a few one by one, which waits for
// nobody else's data; many by one syncfs, shared with all that wait for one.
func (d *Dir) persist(files []string) error {
	if len(files) == 0 {
		return nil
	}
	if len(files) > d.syncEach {
		return d.sync.wait()
	}
	dirs := make(map[string]bool)
	for _, name := range files {
		if err := fsync(name); err != nil {
			return err
		}
		dirs[filepath.Dir(name)] = true
	}
	for name := range dirs {
		if err := fsync(name); err != nil {
			return err
		}
	}
	return nil
}

func fsync(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// A syncer runs one sync at a time, each for everyone who came before it began.
type syncer struct {
	sync func() error

	mu      sync.Mutex
	running bool
	next    *syncRound
}

type syncRound struct {
	done chan struct{}
	err  error
}

// wait returns when a sync that began after the call has ended.
func (s *syncer) wait() error {
	s.mu.Lock()
	if s.next == nil {
		s.next = &syncRound{done: make(chan struct{})}
	}
	mine := s.next
	if !s.running {
		s.running = true
		go s.rounds()
	}
	s.mu.Unlock()
	<-mine.done
	return mine.err
}

func (s *syncer) rounds() {
	for {
		s.mu.Lock()
		round := s.next
		s.next = nil
		s.running = round != nil
		s.mu.Unlock()
		if round == nil {
			return
		}
		round.err = s.sync()
		close(round.done)
	}
}

// A keyedMutex has one lock for each key in use.
type keyedMutex struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	sync.Mutex
	users int
}

func (k *keyedMutex) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = make(map[string]*keyedLock)
	}
	l := k.locks[key]
	if l == nil {
		l = new(keyedLock)
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}
}
