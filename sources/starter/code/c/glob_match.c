/*
 * glob_match.c - shell-style pattern matching without backtracking blow-up.
 *
 *   *        any run of characters except '/'
 *   **       any run of characters, '/' included
 *   ?        one character except '/'
 *   [a-z!x]  a set; a leading '!' or '^' negates it
 *   \c       the character c itself
 *
 * Only the most recent star of each kind is ever retried: an earlier one
 * cannot do better by taking more, because the later star can absorb the
 * difference. That bounds the work by O(|pattern| * |text|) per '**'.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * Matches c against the set that starts after '['. On return *pp points
 * past the closing bracket; a set that is never closed matches nothing.
 */
static bool match_set(const char **pp, unsigned char c)
{
	const char *p = *pp;
	bool negate = *p == '!' || *p == '^';
	bool hit = false;

	if (negate)
		p++;
	/* a ']' in the first place is an ordinary member */
	for (const char *first = p; *p && (*p != ']' || p == first); p++) {
		if (*p == '\\' && p[1])
			p++;
		unsigned char lo = (unsigned char)*p, hi = lo;

		if (p[1] == '-' && p[2] && p[2] != ']') {
			hi = (unsigned char)p[2];
			p += 2;
		}
		hit |= lo <= c && c <= hi;
	}
	if (*p != ']') {
		*pp = p;
		return false;
	}
	*pp = p + 1;
	return c != '/' && hit != negate;
}

bool glob_match(const char *p, const char *s)
{
	const char *star_p = NULL, *star_s = NULL;      /* last '*'  */
	const char *deep_p = NULL, *deep_s = NULL;      /* last '**' */

	for (;;) {
		if (*p == '*') {
			if (p[1] == '*') {
				while (*p == '*')
					p++;
				deep_p = p;
				deep_s = s;
				star_p = NULL;
			} else {
				star_p = ++p;
				star_s = s;
			}
			continue;
		}
		if (*s == '\0' && *p == '\0')
			return true;

		if (*s != '\0' && *p != '\0') {
			const char *next = p + 1;
			bool ok;

			switch (*p) {
			case '?':
				ok = *s != '/';
				break;
			case '[':
				ok = match_set(&next, (unsigned char)*s);
				break;
			case '\\':
				if (p[1])
					next = ++p + 1;
				/* fall through */
			default:
				ok = *p == *s;
			}
			if (ok) {
				p = next;
				s++;
				continue;
			}
		}

		/* mismatch: widen the nearest star that still can be widened */
		if (star_p && *star_s != '\0' && *star_s != '/') {
			p = star_p;
			s = ++star_s;
		} else if (deep_p && *deep_s != '\0') {
			p = deep_p;
			s = ++deep_s;
			star_p = NULL;
		} else {
			return false;
		}
	}
}

#ifdef GLOB_MATCH_TEST
static const struct {
	const char *pattern, *text;
	bool want;
} cases[] = {
	{ "*.c",            "main.c",              true  },
	{ "*.c",            "src/main.c",          false },
	{ "**.c",           "src/main.c",          true  },
	{ "src/**/test_?.c", "src/a/b/test_3.c",   true  },
	{ "[!._]*",         ".hidden",             false },
	{ "[]x]y",          "]y",                  true  },
	{ "v[0-9]*.tar",    "v2.11.tar",           true  },
	{ "a\\*b",          "a*b",                 true  },
	{ "a\\*b",          "axb",                 false },
	{ "*a*a*a*a*b",     "aaaaaaaaaaaaaaaaaaaa", false },
	{ "[abc",           "a",                   false },
	{ "**",             "",                    true  },
};

int main(void)
{
	unsigned failed = 0;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (glob_match(cases[i].pattern, cases[i].text) == cases[i].want)
			continue;
		printf("FAIL %s ~ %s\n", cases[i].pattern, cases[i].text);
		failed++;
	}
	return failed != 0;
}
#endif
