// Package hashring maps keys to nodes with weighted rendezvous hashing.
//
// Every node scores every key; the highest score owns it. Removing a node
// moves only the keys it owned, adding one steals an even share from all
// the others, and no ring of virtual points has to be kept. The cost is a
// linear scan per look-up, which is cheap for up to some hundreds of nodes.
package hashring

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync/atomic"
)

// Node is a target with a relative capacity.
type Node struct {
	ID     string
	Weight float64
}

type snapshot struct {
	nodes []Node
	salts []uint64 // per node, computed once
}

// Ring may be read by many goroutines while another replaces its nodes:
// look-ups work on an immutable snapshot.
type Ring struct {
	current atomic.Pointer[snapshot]
	hash    func(string) uint64
}

// New returns a ring whose placement differs from process to process.
// Use NewWithHash where several processes have to agree.
func New(nodes ...Node) (*Ring, error) {
	seed := maphash.MakeSeed()
	return NewWithHash(func(s string) uint64 { return maphash.String(seed, s) }, nodes...)
}

// NewWithHash uses the given 64-bit hash, which should mix well.
func NewWithHash(hash func(string) uint64, nodes ...Node) (*Ring, error) {
	r := &Ring{hash: hash}
	return r, r.Replace(nodes...)
}

// Replace swaps in a new set of nodes.
func (r *Ring) Replace(nodes ...Node) error {
	next := &snapshot{nodes: slices.Clone(nodes)}
	slices.SortFunc(next.nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	for i, n := range next.nodes {
		if !(n.Weight > 0) || math.IsInf(n.Weight, 1) {
			return fmt.Errorf("hashring: node %q: weight %v is not positive", n.ID, n.Weight)
		}
		if i > 0 && next.nodes[i-1].ID == n.ID {
			return fmt.Errorf("hashring: node %q is listed twice", n.ID)
		}
		next.salts = append(next.salts, r.hash(n.ID))
	}
	r.current.Store(next)
	return nil
}

// mix is a finalizer in the style of splitmix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// score draws an exponential variate with rate 1/weight: the maximum over
// all nodes then falls on each one in proportion to its weight.
func score(key, salt uint64, weight float64) float64 {
	u := (float64(mix(key^salt)>>11) + 0.5) / (1 << 53) // in (0, 1)
	return -weight / math.Log(u)
}

// Owner returns the node responsible for key; ok is false on an empty ring.
func (r *Ring) Owner(key string) (owner Node, ok bool) {
	s := r.current.Load()
	h := r.hash(key)
	best := math.Inf(-1)
	for i, n := range s.nodes {
		if sc := score(h, s.salts[i], n.Weight); sc > best {
			best, owner, ok = sc, n, true
		}
	}
	return owner, ok
}

// Replicas returns up to n distinct nodes for key, the owner first. If a
// node fails, its keys pass to their next replica and nothing else moves.
func (r *Ring) Replicas(key string, n int) []Node {
	s := r.current.Load()
	h := r.hash(key)
	type ranked struct {
		score float64
		node  int
	}
	// Insertion into a short sorted slice: n is small in practice.
	top := make([]ranked, 0, n+1)
	for i := range s.nodes {
		c := ranked{score(h, s.salts[i], s.nodes[i].Weight), i}
		at, _ := slices.BinarySearchFunc(top, c, func(a, b ranked) int {
			switch {
			case a.score > b.score:
				return -1
			case a.score < b.score:
				return 1
			}
			return a.node - b.node
		})
		if at < n {
			top = slices.Insert(top, at, c)
			top = top[:min(len(top), n)]
		}
	}
	out := make([]Node, len(top))
	for i, c := range top {
		out[i] = s.nodes[c.node]
	}
	return out
}
