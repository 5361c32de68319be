package identity

import (
	"net/netip"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// A limit bounds how often something may be done from one address: burst times at once,
// and once more each refill. It forgets addresses that have all their tries again. It is
// safe for concurrent use.
type limit struct {
	burst  float64
	refill time.Duration

	mu   sync.Mutex
	from map[netip.Prefix]*bucket
}

// A bucket is what one address has left.
type bucket struct {
	left float64
	at   time.Time
}

// maxBuckets is how many addresses are remembered. Beyond it those that have done the
// least are forgotten first, which takes an attacker more addresses than tries.
const maxBuckets = 10_000

func newLimit(burst int, refill time.Duration) *limit {
	return &limit{burst: float64(burst), refill: refill, from: make(map[netip.Prefix]*bucket)}
}

// take uses one try up, or is Unavailable if there is none left.
func (l *limit) take(from string) error {
	key, now := network(from), time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.from[key]
	if b == nil {
		l.makeRoom(now)
		b = &bucket{l.burst, now}
		l.from[key] = b
	}
	b.left, b.at = l.now(b, now), now
	if b.left < 1 {
		wait := time.Duration((1 - b.left) * float64(l.refill)).Round(time.Second)
		return weft.Errorf(weft.Unavailable, "too many tries have come from your address").WithAdvice("try again in %s", max(wait, time.Second))
	}
	b.left--
	return nil
}

// giveBack undoes a take, for what turned out to be no guess.
func (l *limit) giveBack(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.from[network(from)]; b != nil {
		b.left = min(b.left+1, l.burst)
	}
}

// now is what a bucket has at that time.
func (l *limit) now(b *bucket, now time.Time) float64 {
	return min(l.burst, b.left+float64(now.Sub(b.at))/float64(l.refill))
}

// makeRoom forgets addresses when there are too many: those that are as good as new, and
// if that is not enough, any that has used less than half.
func (l *limit) makeRoom(now time.Time) {
	if len(l.from) < maxBuckets {
		return
	}
	for _, enough := range []float64{l.burst, l.burst / 2, 0} {
		for key, b := range l.from {
			if l.now(b, now) >= enough {
				delete(l.from, key)
			}
		}
		if len(l.from) < maxBuckets {
			return
		}
	}
}

// network is who counts as one: an address of IPv4, a network of 64 bits of IPv6, which
// is what one customer gets.
func network(from string) netip.Prefix {
	a, err := netip.ParseAddr(from)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
