// Command healthd probes a list of TCP endpoints and serves the result.
//
//	healthd -config probes.json -listen :8087
//
// Any GET answers with all states as JSON, and 503 if a required one is down.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

type duration struct{ time.Duration }

func (d *duration) UnmarshalText(text []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(text))
	return err
}

type probe struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Every    duration `json:"every"`
	Optional bool     `json:"optional"`
}

func loadConfig(path string) ([]probe, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	var cfg struct {
		Probes []probe `json:"probes"`
	}
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i := range cfg.Probes {
		p := &cfg.Probes[i]
		if p.Name == "" || p.Address == "" {
			return nil, fmt.Errorf("%s: probe %d needs a name and an address", path, i)
		}
		p.Every.Duration = max(p.Every.Duration, time.Second)
	}
	return cfg.Probes, nil
}

type state struct {
	Up       bool      `json:"up"`
	Required bool      `json:"required"`
	Since    time.Time `json:"since"`
	LastErr  string    `json:"last_error,omitempty"`
}

type board struct {
	mu     sync.RWMutex
	states map[string]state
}

func (b *board) record(p probe, now time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, known := b.states[p.Name]
	s := state{Up: err == nil, Required: !p.Optional, Since: old.Since}
	if err != nil {
		s.LastErr = err.Error()
	}
	if !known || old.Up != s.Up {
		s.Since = now
		log.Printf("%s: up=%t %s", p.Name, s.Up, s.LastErr)
	}
	b.states[p.Name] = s
}

func (b *board) watch(ctx context.Context, p probe) {
	tick := time.NewTicker(p.Every.Duration)
	defer tick.Stop()
	dialer := net.Dialer{Timeout: p.Every.Duration}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", p.Address)
		if err == nil {
			conn.Close()
		}
		if ctx.Err() != nil {
			return // shutting down; do not record it as an outage
		}
		b.record(p, time.Now(), err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (b *board) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	code := http.StatusOK
	for _, s := range b.states {
		if s.Required && !s.Up {
			code = http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(b.states)
}

func main() {
	config := flag.String("config", "probes.json", "probe list")
	listen := flag.String("listen", ":8087", "address to serve on")
	flag.Parse()
	probes, err := loadConfig(*config)
	if err != nil {
		log.Fatal(err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &board{states: make(map[string]state)}
	for _, p := range probes {
		go b.watch(ctx, p)
	}

	srv := &http.Server{Addr: *listen, Handler: b, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		srv.Shutdown(grace)
	})
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
