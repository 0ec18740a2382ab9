package prefixbench

import (
	"fmt"
	"math/rand"
	"net/netip"
	"sort"
	"testing"
)

// Longest-prefix match for IPv4 routes, two ways. The benchmark compares
// them on tables of different sizes; TestAgree keeps them honest.

type route struct {
	prefix netip.Prefix
	hop    int32
}

type table interface {
	lookup(netip.Addr) (hop int32, ok bool)
}

// --- linear: routes sorted by falling prefix length ---

type linear []route

func newLinear(rs []route) table {
	l := append(linear(nil), rs...)
	sort.SliceStable(l, func(i, j int) bool { return l[i].prefix.Bits() > l[j].prefix.Bits() })
	return l
}

func (l linear) lookup(a netip.Addr) (int32, bool) {
	for _, r := range l {
		if r.prefix.Contains(a) {
			return r.hop, true
		}
	}
	return 0, false
}

// --- intervals: prefixes flattened to disjoint ranges, binary search ---

type interval struct {
	from uint32
	hop  int32 // -1 where no route applies
}

type intervals []interval

func key(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func newIntervals(rs []route) table {
	ordered := newLinear(rs)
	cuts := map[uint32]bool{0: true}
	for _, r := range rs {
		from := key(r.prefix.Addr())
		cuts[from] = true
		cuts[from+uint32(1<<(32-r.prefix.Bits()))] = true // may wrap to 0
	}
	out := make(intervals, 0, len(cuts))
	for from := range cuts {
		a := netip.AddrFrom4([4]byte{byte(from >> 24), byte(from >> 16), byte(from >> 8), byte(from)})
		hop, ok := ordered.lookup(a)
		if !ok {
			hop = -1
		}
		out = append(out, interval{from, hop})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].from < out[j].from })
	return out
}

func (t intervals) lookup(a netip.Addr) (int32, bool) {
	k := key(a)
	i := sort.Search(len(t), func(i int) bool { return t[i].from > k }) - 1
	return t[i].hop, t[i].hop >= 0
}

var kinds = []struct {
	name  string
	build func([]route) table
}{{"linear", newLinear}, {"intervals", newIntervals}}

func randomAddr(rng *rand.Rand) netip.Addr {
	var b [4]byte
	rng.Read(b[:])
	b[0] = 10 + b[0]%4 // crowd the addresses so that prefixes nest
	return netip.AddrFrom4(b)
}

func randomRoutes(rng *rand.Rand, n int) []route {
	rs := make([]route, n)
	for i := range rs {
		p, _ := randomAddr(rng).Prefix(8 + rng.Intn(17))
		rs[i] = route{p, int32(p.Bits())} // equal prefixes get equal hops
	}
	return rs
}

func TestAgree(t *testing.T) {
	rng := rand.New(rand.NewSource(41))
	rs := randomRoutes(rng, 300)
	want := kinds[0].build(rs)
	for _, k := range kinds[1:] {
		got := k.build(rs)
		for i := 0; i < 2000; i++ {
			a := randomAddr(rng)
			wh, wok := want.lookup(a)
			if gh, gok := got.lookup(a); gok != wok || wok && gh != wh {
				t.Fatalf("%s: %v: got %d %t, want %d %t", k.name, a, gh, gok, wh, wok)
			}
		}
	}
}

var sink int32 // keeps the compiler from dropping the look-ups

func BenchmarkLookup(b *testing.B) {
	for _, size := range []int{8, 64, 1024} {
		rng := rand.New(rand.NewSource(int64(size)))
		rs := randomRoutes(rng, size)
		addrs := make([]netip.Addr, 1<<12)
		for i := range addrs {
			addrs[i] = randomAddr(rng)
		}
		for _, k := range kinds {
			t := k.build(rs)
			b.Run(fmt.Sprintf("%s/routes=%d", k.name, size), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; i < b.N; i++ {
					hop, _ := t.lookup(addrs[i&(len(addrs)-1)])
					sink += hop
				}
			})
		}
	}
}
