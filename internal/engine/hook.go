package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// Hooks are asked before the engine changes the status of a Run. What they hold up is
// that Run and nothing else: a Run that waits for an answer is in no flight and in no
// queue, and where it has no container it has no room on the machine. Its lease is kept.
//
// They are asked at least once before each change: an answer is in memory, and whoever
// goes on after a crash asks again.
type Hooks interface {
	// Wants reports whether somebody wants to be asked before r becomes to. It is called
	// often, and asks nobody.
	Wants(r weft.Run, to weft.Status) bool

	// Next names whom Ask would ask first, for users.
	Next(q Question) string

	// Ask asks those who want to be, in order, from where q says, and returns at the
	// first who does not agree. It may take long; calls for other Runs go on beside it.
	Ask(ctx context.Context, q Question) Answer
}

// A Question is a change of status that hooks are to agree to.
type Question struct {
	Run    weft.Run // as it is recorded, in the status that it is to leave
	To     weft.Status
	Passed []string          // hooks that have agreed
	Env    map[string]string // variables that these gave
	Tries  int               // how often the next one was asked in vain,
	Since  time.Time         // and since when it is asked
}

// An Answer is what came of a Question.
type Answer struct {
	Passed []string
	Env    map[string]string
	Held   error         // nil: all agree; else why not, in words for the user
	Again  time.Duration // when to ask again
}

// A Vault encrypts what is recorded of a Run but must not be read by whoever has the
// database.
type Vault interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// envPurpose keeps sealed variables apart from all else that is sealed, and those of one
// attempt from those of another.
func envPurpose(a weft.Attempt) string { return "variables of hooks: " + a.String() }

// errParked says that hooks are being asked: the Run is taken up again when they have
// answered.
var errParked = errors.New("the run waits for a hook")

// Asks holds the questions that are open. Of a Run they are all about its present status:
// usually one, but a ready Run may be asked about for starting, and then for being given up.
type asks struct {
	mu      sync.Mutex
	open    map[weft.RunID][]*asking
	pending []*asking // to be asked
	wake    signal
}

type asking struct {
	Question
	agreed  bool
	under   bool // being asked
	parked  bool // the Run was let go until there is an answer
	touched time.Time
	end     context.CancelFunc
}

// asksFor is how long a question is kept that nobody comes back to.
const asksFor = time.Hour

// park returns the variables that hooks gave for a change they agreed to; ok is false if they
// have not, and are asked from now on. Then the caller lets go of the Run.
func (s *asks) park(r weft.Run, to weft.Status) (env map[string]string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.find(r, to)
	a.Run, a.touched = r, time.Now()
	if a.agreed {
		return a.Env, true
	}
	a.parked = true
	if !a.under {
		a.under = true
		s.pending = append(s.pending, a)
		s.wake.set()
	}
	return nil, false
}

// find returns the question, which is made if nobody has asked it yet.
func (s *asks) find(r weft.Run, to weft.Status) *asking {
	for _, a := range s.open[r.ID] {
		if a.Run.Attempt != r.Attempt || a.Run.Status != r.Status {
			s.drop(r.ID)
			break
		}
		if a.To == to {
			return a
		}
	}
	a := &asking{Question: Question{Run: r, To: to, Since: time.Now()}}
	s.open[r.ID] = append(s.open[r.ID], a)
	return a
}

func (s *asks) drop(id weft.RunID) {
	for _, a := range s.open[id] {
		if a.end != nil {
			a.end()
		}
	}
	delete(s.open, id)
}

// released returns a Run that was let go and whose hooks agree now, once.
func (s *asks) released(id weft.RunID) (weft.Run, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.open[id] {
		if a.agreed && a.parked {
			a.parked = false
			return a.Run, true
		}
	}
	return weft.Run{}, false
}

// forget drops what was asked about a Run, whose status was changed.
func (s *asks) forget(id weft.RunID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(id)
}

// meet reports whether r waits for an answer as it is. If its status was changed, nobody
// needs the answers any more.
func (s *asks) meet(r weft.Run) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.open[r.ID] {
		if a.Run.Status != r.Status {
			s.drop(r.ID)
			return false
		}
		if a.under && a.parked && a.Run.Rev == r.Rev {
			return true
		}
	}
	return false
}

// waiting lists the Runs that wait for an answer: their leases want renewal.
func (s *asks) waiting() []weft.RunID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []weft.RunID
	for id, as := range s.open {
		switch {
		case slices.ContainsFunc(as, func(a *asking) bool { return a.under }):
			ids = append(ids, id)
		case !slices.ContainsFunc(as, func(a *asking) bool { return time.Since(a.touched) < asksFor }):
			s.drop(id)
		}
	}
	return ids
}

func (s *asks) take() []*asking {
	s.mu.Lock()
	defer s.mu.Unlock()
	as := s.pending
	s.pending = nil
	return as
}

// cleared returns the variables that hooks gave for a change, or errParked until all
// agree to it.
func (e *Engine) cleared(r weft.Run, to weft.Status) (map[string]string, error) {
	if e.Hooks == nil || r.Status == to || !e.Hooks.Wants(r, to) {
		return nil, nil
	}
	env, ok := e.asks.park(r, to)
	if !ok {
		return nil, errParked
	}
	return env, nil
}

// asking asks what is to be asked, each in a goroutine of its own: how many at once is up
// to the Hooks, who know which of them is slow.
func (e *Engine) asking(ctx context.Context) (bool, error) {
	for _, a := range e.asks.take() {
		actx, end := context.WithCancel(ctx)
		e.asks.mu.Lock()
		a.end = end
		q := a.Question
		e.asks.mu.Unlock()
		e.flying.Go(func() {
			defer end()
			e.ask(ctx, actx, a, q)
		})
	}
	return false, nil
}

// ask asks, and then takes the Run up again, or records why it is held. What follows does
// not end with the question, whose context is the second.
func (e *Engine) ask(ctx, question context.Context, a *asking, q Question) {
	var ans Answer
	r, _ := e.telling(question, q.Run, "waiting for hook "+e.Hooks.Next(q), func() error {
		ans = e.Hooks.Ask(question, q)
		return nil
	})
	if question.Err() != nil {
		return
	}
	e.asks.mu.Lock()
	a.under, a.agreed, a.Run = false, ans.Held == nil, r
	if len(a.Passed) != len(ans.Passed) {
		a.Tries, a.Since = 0, time.Now()
	}
	a.Passed, a.Env = ans.Passed, ans.Env
	if ans.Held != nil {
		a.Tries++
	}
	e.asks.mu.Unlock()
	if ans.Held == nil {
		if !e.fleet.has(r.ID) { // else whoever let go of the Run has not landed yet, and looks when it has
			e.resumeAsked(ctx, r.ID)
		}
		return
	}
	e.hold(ctx, r, ans)
}

// resumeAsked takes up a Run that was let go, if its hooks agree.
func (e *Engine) resumeAsked(ctx context.Context, id weft.RunID) {
	if r, ok := e.asks.released(id); ok {
		e.dispatch(ctx, r)
	}
}

// hold records why a Run does not go on, and takes it up again after a while.
func (e *Engine) hold(ctx context.Context, r weft.Run, ans Answer) {
	e.metrics.held.Inc()
	now := time.Now().UTC()
	held := because(r, fmt.Sprintf("%s; tried again at %s", inWords(ans.Held), now.Add(ans.Again).Format(time.TimeOnly+" MST")))
	delay := ans.Again
	if _, err := e.record(ctx, r, weft.Save{Run: held, Due: now.Add(delay)}); errors.Is(err, errOvertaken) {
		delay = 0
	}
	time.AfterFunc(delay, func() { e.hints.add(r.Current()) })
}

// sealEnv encrypts variables for the record.
func (e *Engine) sealEnv(a weft.Attempt, env map[string]string) ([]byte, error) {
	if len(env) == 0 {
		return nil, nil
	}
	if e.Vault == nil {
		return nil, weft.Errorf(weft.Internal, "a hook gave variables, and there is nothing to encrypt them with")
	}
	plain, err := json.Marshal(env)
	if err != nil {
		return nil, fmt.Errorf("encode variables: %w", err)
	}
	sealed, err := e.Vault.Seal(envPurpose(a), plain)
	if err != nil {
		return nil, fmt.Errorf("seal variables: %w", err)
	}
	return sealed, nil
}

// envOf returns the variables that hooks gave before the Run's present attempt was
// started, by this engine or the one before.
func (e *Engine) envOf(ctx context.Context, r weft.Run) (map[string]string, error) {
	sealed, err := e.Store.RunEnv(ctx, r.Current())
	if err != nil {
		return nil, fmt.Errorf("read variables of hooks: %w", err)
	}
	if len(sealed) == 0 {
		return nil, nil
	}
	if e.Vault == nil {
		return nil, weft.Errorf(weft.Internal, "a hook gave variables, and there is nothing to decrypt them with")
	}
	plain, err := e.Vault.Open(envPurpose(r.Current()), sealed)
	if err != nil {
		return nil, fmt.Errorf("open variables of hooks: %w", err)
	}
	var env map[string]string
	if err := json.Unmarshal(plain, &env); err != nil {
		return nil, fmt.Errorf("decode variables of hooks: %w", err)
	}
	return env, nil
}

// parked lets go of the room of a Run that waits for a hook and has no container yet.
func (e *Engine) parked(r weft.Run) {
	if r.Status == weft.Ready {
		e.ledger.release(r.ID)
		e.admit.set()
	}
}

// withEnv adds variables to KEY=value texts, and replaces those of the same name.
func withEnv(env []string, more map[string]string) []string {
	if len(more) == 0 {
		return env
	}
	out := slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, replaced := more[name]
		return replaced
	})
	for _, name := range slices.Sorted(maps.Keys(more)) {
		out = append(out, name+"="+more[name])
	}
	return out
}
