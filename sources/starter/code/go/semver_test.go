package semver

import (
	"errors"
	"math/rand"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// Version keeps the three numbers and the pre-release identifiers; build
// metadata takes no part in ordering and is dropped by Parse.
type Version struct {
	Core [3]uint64
	Pre  []string
}

var errSyntax = errors.New("not a semantic version")

func Parse(s string) (v Version, err error) {
	s, build, hasBuild := strings.Cut(s, "+")
	s, pre, hasPre := strings.Cut(s, "-")
	nums := strings.Split(s, ".")
	if len(nums) != 3 || hasBuild && build == "" {
		return v, errSyntax
	}
	for i, n := range nums {
		if len(n) > 1 && n[0] == '0' {
			return v, errSyntax
		}
		if v.Core[i], err = strconv.ParseUint(n, 10, 64); err != nil {
			return v, errSyntax
		}
	}
	if hasPre {
		v.Pre = strings.Split(pre, ".")
	}
	for _, id := range v.Pre {
		if id == "" || isNumber(id) && len(id) > 1 && id[0] == '0' {
			return v, errSyntax
		}
	}
	return v, nil
}

func isNumber(s string) bool { return strings.Trim(s, "0123456789") == "" }

func (v Version) Compare(w Version) int {
	for i := range v.Core {
		if v.Core[i] != w.Core[i] {
			return sign(v.Core[i] < w.Core[i])
		}
	}
	for i := 0; i < len(v.Pre) && i < len(w.Pre); i++ {
		a, b := v.Pre[i], w.Pre[i]
		switch {
		case a == b:
		case isNumber(a) != isNumber(b):
			return sign(isNumber(a)) // numbers sort before words
		case isNumber(a) && len(a) != len(b):
			return sign(len(a) < len(b))
		default:
			return sign(a < b)
		}
	}
	switch {
	case len(v.Pre) == len(w.Pre):
		return 0
	case len(v.Pre) == 0 || len(w.Pre) == 0:
		return sign(len(v.Pre) != 0) // a release beats its pre-releases
	}
	return sign(len(v.Pre) < len(w.Pre))
}

func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

func TestParseRejects(t *testing.T) {
	for name, in := range map[string]string{
		"empty":            "",
		"two numbers":      "1.2",
		"leading zero":     "1.02.3",
		"sign":             "1.-2.3",
		"overflow":         "1.2.18446744073709551616",
		"empty identifier": "1.2.3-rc..1",
		"zero-led pre":     "1.2.3-01",
		"empty build":      "1.2.3+",
	} {
		t.Run(name, func(t *testing.T) {
			if v, err := Parse(in); !errors.Is(err, errSyntax) {
				t.Errorf("Parse(%q) = %v, %v; want a syntax error", in, v, err)
			}
		})
	}
}

// The list is in strictly ascending order; shuffling and sorting it must
// give it back, and every pair must compare like its indices.
func TestTotalOrder(t *testing.T) {
	ascending := strings.Fields(`
		0.0.1  0.9.12  2.4.0-7  2.4.0-19  2.4.0-draft  2.4.0-draft.3
		2.4.0-draft.20  2.4.0-draft.x  2.4.0-draft.x.0  2.4.0-eval
		2.4.0  2.4.1  2.10.0-0  2.10.0  10.2.0`)
	versions := make([]Version, len(ascending))
	for i, s := range ascending {
		v, err := Parse(s)
		if err != nil {
			t.Fatalf("Parse(%q): %v", s, err)
		}
		versions[i] = v
	}
	for i, v := range versions {
		for j, w := range versions {
			got := v.Compare(w)
			if (i < j) != (got < 0) || (i == j) != (got == 0) {
				t.Errorf("Compare(%s, %s) = %d", ascending[i], ascending[j], got)
			}
		}
	}

	shuffled := append([]Version(nil), versions...)
	rand.New(rand.NewSource(7)).Shuffle(len(shuffled), func(i, j int) {
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	})
	sort.Slice(shuffled, func(i, j int) bool { return shuffled[i].Compare(shuffled[j]) < 0 })
	for i := range shuffled {
		if shuffled[i].Compare(versions[i]) != 0 {
			t.Fatalf("position %d holds %+v", i, shuffled[i])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1.2.3-rc.1+linux.7")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := Parse(s); err == nil && v.Compare(v) != 0 {
			t.Errorf("%q differs from itself", s)
		}
	})
}
