// Package pipeline builds bounded, cancellable processing stages out of
// channels and type parameters.
//
// Every stage follows the same contract: it closes the channel it returns,
// and it gives up as soon as the group's context is done. The first error
// of any stage cancels the others and is what Wait returns.
package pipeline

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Group ties the goroutines of one pipeline together.
type Group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

// New derives a group from ctx. Call Wait exactly once.
func New(ctx context.Context) *Group {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Group{ctx: ctx, cancel: cancel}
}

// Go runs f; a panic in it is turned into the group's error.
func (g *Group) Go(f func(context.Context) error) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		defer func() {
			if p := recover(); p != nil {
				g.cancel(fmt.Errorf("pipeline: panic: %v\n%s", p, debug.Stack()))
			}
		}()
		if err := f(g.ctx); err != nil {
			g.cancel(err)
		}
	}()
}

// Wait blocks until all stages have returned.
func (g *Group) Wait() error {
	g.wg.Wait()
	err := context.Cause(g.ctx)
	g.cancel(nil)
	return err
}

// send reports whether v was delivered before ctx was done.
func send[T any](ctx context.Context, out chan<- T, v T) bool {
	select {
	case out <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

// Source feeds the values that gen passes to yield; yield returns false
// when gen should stop.
func Source[T any](g *Group, gen func(yield func(T) bool) error) <-chan T {
	out := make(chan T)
	g.Go(func(ctx context.Context) error {
		defer close(out)
		return gen(func(v T) bool { return send(ctx, out, v) })
	})
	return out
}

// Map applies f with the given parallelism. The order is not preserved.
func Map[A, B any](g *Group, workers int, in <-chan A, f func(context.Context, A) (B, error)) <-chan B {
	out := make(chan B, workers)
	var open sync.WaitGroup
	open.Add(workers)
	for i := 0; i < workers; i++ {
		g.Go(func(ctx context.Context) error {
			defer open.Done()
			for a := range in {
				b, err := f(ctx, a)
				if err != nil {
					return err
				}
				if !send(ctx, out, b) {
					return nil
				}
			}
			return nil
		})
	}
	g.Go(func(context.Context) error {
		open.Wait()
		close(out)
		return nil
	})
	return out
}

// Batch groups values into slices of at most size. A batch that is not full
// is passed on once its oldest value has waited for maxWait.
func Batch[T any](g *Group, size int, maxWait time.Duration, in <-chan T) <-chan []T {
	out := make(chan []T)
	g.Go(func(ctx context.Context) error {
		defer close(out)
		var batch []T
		var deadline <-chan time.Time // nil, and so never ready, while empty

		flush := func() bool {
			full := batch
			batch, deadline = nil, nil
			return len(full) == 0 || send(ctx, out, full)
		}
		for {
			select {
			case v, ok := <-in:
				if !ok {
					flush()
					return nil
				}
				if batch == nil {
					batch = make([]T, 0, size)
					deadline = time.After(maxWait)
				}
				if batch = append(batch, v); len(batch) == size && !flush() {
					return nil
				}
			case <-deadline:
				if !flush() {
					return nil
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
	return out
}
