/*
 * timer_wheel.c - hierarchical timing wheel with O(1) arm and cancel.
 *
 * Two levels of 64 slots cover 4096 ticks. A timer further away than the
 * inner wheel sits on the outer wheel and is moved inwards ("cascaded")
 * whenever the inner wheel wraps. Timers are embedded in their owners, so
 * the wheel itself never allocates.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SLOT_BITS 6u
#define SLOTS     (1u << SLOT_BITS)
#define SLOT_MASK (SLOTS - 1u)
#define HORIZON   (SLOTS * SLOTS)

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

struct node {
	struct node *next, *prev;
};

struct timer {
	struct node link;               /* self-linked when idle */
	uint32_t expires;
	void (*fire)(struct timer *t);
};

struct wheel {
	uint32_t now;
	struct node inner[SLOTS];
	struct node outer[SLOTS];
};

static void node_init(struct node *n) { n->next = n->prev = n; }
static bool node_linked(const struct node *n) { return n->next != n; }

static void node_unlink(struct node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	node_init(n);
}

static void node_push_back(struct node *head, struct node *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static void wheel_init(struct wheel *w)
{
	w->now = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		node_init(&w->inner[i]);
		node_init(&w->outer[i]);
	}
}

static void timer_init(struct timer *t, void (*fire)(struct timer *))
{
	node_init(&t->link);
	t->fire = fire;
}

static void place(struct wheel *w, struct timer *t)
{
	uint32_t delta = t->expires - w->now;   /* wraps on purpose */

	assert(delta < HORIZON);
	if (delta < SLOTS)
		node_push_back(&w->inner[t->expires & SLOT_MASK], &t->link);
	else
		node_push_back(&w->outer[(t->expires >> SLOT_BITS) & SLOT_MASK],
			       &t->link);
}

/* Arms the timer, moving it if it was already pending. */
static bool timer_arm(struct wheel *w, struct timer *t, uint32_t ticks)
{
	if (ticks == 0 || ticks >= HORIZON)
		return false;
	if (node_linked(&t->link))
		node_unlink(&t->link);
	t->expires = w->now + ticks;
	place(w, t);
	return true;
}

static void wheel_tick(struct wheel *w)
{
	w->now++;
	if ((w->now & SLOT_MASK) == 0) {
		struct node *far = &w->outer[(w->now >> SLOT_BITS) & SLOT_MASK];

		while (node_linked(far)) {
			struct timer *t = container_of(far->next, struct timer, link);
			node_unlink(&t->link);
			place(w, t);
		}
	}

	struct node *due = &w->inner[w->now & SLOT_MASK];
	while (node_linked(due)) {
		struct timer *t = container_of(due->next, struct timer, link);
		node_unlink(&t->link);  /* so that fire() may rearm it */
		t->fire(t);
	}
}

/* ---- self-test: a retransmission timer with exponential backoff ---- */

struct session {
	struct wheel *wheel;
	struct timer rto;
	uint32_t backoff;
	unsigned attempts;
};

static void retransmit(struct timer *t)
{
	struct session *s = container_of(t, struct session, rto);

	printf("tick %4u: attempt %u\n", (unsigned)s->wheel->now, ++s->attempts);
	s->backoff *= 2;
	if (s->attempts < 6)
		timer_arm(s->wheel, t, s->backoff);
}

int main(void)
{
	static struct wheel w;
	struct session s = { .wheel = &w, .backoff = 25 };

	wheel_init(&w);
	timer_init(&s.rto, retransmit);
	timer_arm(&w, &s.rto, s.backoff);
	for (unsigned i = 0; i < 2000; i++)
		wheel_tick(&w);

	/* 25 + 50 + 100 + 200 + 400 + 800 = 1575 */
	return s.attempts == 6 && s.rto.expires == 1575 ? 0 : 1;
}
