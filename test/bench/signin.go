package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weft-dev/weft/api"
)

const (
	signIns       = 100
	signInsAtOnce = 4 // two for each processor
)

// measureSignIn measures how long somebody waits who signs in with a password: from the
// request to the token, which is stored, one after another and several at once.
func measureSignIn(ctx context.Context, l *lab) (figures []Figure, err error) {
	s, err := l.serve(ctx, l.path("sign-in"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	const password = "correct horse battery"
	for n := range signInsAtOnce {
		if _, err := s.CreateUser(ctx, api.NewUser{Name: personName(n), Password: password}); err != nil {
			return nil, err
		}
	}
	one := func(n int) func() (float64, error) {
		return func() (float64, error) {
			from := time.Now()
			_, err := s.SignIn(ctx, api.SignIn{Name: personName(n), Password: password})
			return float64(time.Since(from).Microseconds()) / 1000, err
		}
	}
	alone, err := repeat(signIns, one(0))
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var together []float64
	var failed error
	var people sync.WaitGroup
	for n := range signInsAtOnce {
		people.Go(func() {
			took, err := repeat(signIns/signInsAtOnce, one(n))
			mu.Lock()
			defer mu.Unlock()
			together, failed = append(together, took...), errors.Join(failed, err)
		})
	}
	people.Wait()
	if failed != nil {
		return nil, failed
	}
	slices.Sort(together)
	return []Figure{
		atMost("sign in with a password, p99", quantile(alone, 0.99), "ms", 300),
		atMost(fmt.Sprintf("the same, %d at once, p99", signInsAtOnce), quantile(together, 0.99), "ms", 300),
	}, nil
}

func personName(n int) string { return fmt.Sprintf("person-%d", n) }
