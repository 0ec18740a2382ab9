// Package flightcache is a TTL cache that loads each missing key once.
//
// Concurrent callers for the same key share one load. An entry past its
// soft age is returned at once and refreshed behind the caller's back; past
// its hard age it is loaded again before anybody sees it. Failed loads are
// not stored, but a stale value is preferred to an error.
package flightcache

import (
	"context"
	"sync"
	"time"
)

// Loader fetches the value of a key.
type Loader[K comparable, V any] func(ctx context.Context, key K) (V, error)

// Options tune a Cache. Now exists for tests.
type Options struct {
	Soft, Hard time.Duration
	Timeout    time.Duration // for one load
	Now        func() time.Time
}

type entry[V any] struct {
	value  V
	loaded time.Time
	valid  bool
	flight *flight[V] // non-nil while a load is running
}

type flight[V any] struct {
	done  chan struct{} // closed once value and err are final
	value V
	err   error
}

// Cache must be created with New.
type Cache[K comparable, V any] struct {
	load    Loader[K, V]
	opts    Options
	mu      sync.Mutex
	entries map[K]*entry[V]
}

func New[K comparable, V any](load Loader[K, V], opts Options) *Cache[K, V] {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Hard < opts.Soft {
		opts.Hard = opts.Soft
	}
	return &Cache[K, V]{load: load, opts: opts, entries: make(map[K]*entry[V])}
}

// Get returns the value for key. Cancelling ctx stops the wait of this
// caller only; the load itself goes on for the others.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (V, error) {
	c.mu.Lock()
	e := c.entries[key]
	if e == nil {
		e = &entry[V]{}
		c.entries[key] = e
	}
	age := c.opts.Now().Sub(e.loaded)
	if e.valid && age < c.opts.Soft {
		defer c.mu.Unlock()
		return e.value, nil
	}
	if e.flight == nil {
		e.flight = &flight[V]{done: make(chan struct{})}
		go c.fly(key, e, e.flight)
	}
	if e.valid && age < c.opts.Hard {
		defer c.mu.Unlock()
		return e.value, nil
	}
	f, stale, hasStale := e.flight, e.value, e.valid
	c.mu.Unlock()

	select {
	case <-f.done:
		if f.err != nil && hasStale {
			return stale, nil
		}
		return f.value, f.err
	case <-ctx.Done():
		var zero V
		return zero, ctx.Err()
	}
}

func (c *Cache[K, V]) fly(key K, e *entry[V], f *flight[V]) {
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.Timeout)
	defer cancel()
	value, err := c.load(ctx, key)

	c.mu.Lock()
	defer c.mu.Unlock()
	f.value, f.err = value, err
	close(f.done)
	if e.flight != f {
		return // invalidated meanwhile: waiters get the value, the cache does not
	}
	e.flight = nil
	if err == nil {
		e.value, e.loaded, e.valid = value, c.opts.Now(), true
	} else if !e.valid {
		delete(c.entries, key)
	}
}

// Invalidate forgets key. A load that is under way is not stored.
func (c *Cache[K, V]) Invalidate(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		e.flight = nil
		delete(c.entries, key)
	}
}

// Sweep drops entries past their hard age and returns how many. Call it
// from a ticker; the cache starts no goroutine of its own.
func (c *Cache[K, V]) Sweep() (dropped int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.opts.Now().Add(-c.opts.Hard)
	for key, e := range c.entries {
		if e.flight == nil && e.loaded.Before(limit) {
			delete(c.entries, key)
			dropped++
		}
	}
	return dropped
}
