// Single-producer, single-consumer byte ring built on C11 atomics.
//
// The indices run freely and are masked on access, so "full" and "empty"
// need no spare slot. Each side keeps a cached copy of the other's index
// and reloads it only when the cached value says it cannot go on; most
// calls therefore touch no cache line owned by the other thread.

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { RING_SIZE = 1u << 12, CACHE_LINE = 64 };
_Static_assert((RING_SIZE & (RING_SIZE - 1)) == 0, "size is a power of two");

typedef struct {
    alignas(CACHE_LINE) atomic_size_t head;  // written by the consumer
    size_t tail_seen;                        // consumer's view of tail
    alignas(CACHE_LINE) atomic_size_t tail;  // written by the producer
    size_t head_seen;                        // producer's view of head
    alignas(CACHE_LINE) unsigned char data[RING_SIZE];
} ring_t;

static inline size_t min_sz(size_t a, size_t b) { return a < b ? a : b; }

/// Copies up to n bytes in; returns how many were taken.
static size_t ring_write(ring_t *r, const void *src, size_t n)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t room = RING_SIZE - (tail - r->head_seen);

    if (room < n) {
        r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
        room = RING_SIZE - (tail - r->head_seen);
        n = min_sz(n, room);
    }

    size_t at = tail & (RING_SIZE - 1);
    size_t first = min_sz(n, RING_SIZE - at);
    memcpy(r->data + at, src, first);
    memcpy(r->data, (const unsigned char *)src + first, n - first);

    // The release pairs with the consumer's acquire: the bytes are visible
    // before the index that publishes them.
    atomic_store_explicit(&r->tail, tail + n, memory_order_release);
    return n;
}

/// Copies up to n bytes out; returns how many were delivered.
static size_t ring_read(ring_t *r, void *dst, size_t n)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t ready = r->tail_seen - head;

    if (ready < n) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        ready = r->tail_seen - head;
        n = min_sz(n, ready);
    }

    size_t at = head & (RING_SIZE - 1);
    size_t first = min_sz(n, RING_SIZE - at);
    memcpy(dst, r->data + at, first);
    memcpy((unsigned char *)dst + first, r->data, n - first);
    atomic_store_explicit(&r->head, head + n, memory_order_release);
    return n;
}

static ring_t ring;
static const size_t total = 8u << 20;

static uint32_t next_rand(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

static void *produce(void *arg)
{
    (void)arg;
    uint32_t seed = 0x9e3779b9u;
    unsigned char chunk[300];
    unsigned char value = 0;

    for (size_t sent = 0; sent < total;) {
        size_t want = min_sz(1 + next_rand(&seed) % sizeof chunk, total - sent);
        for (size_t i = 0; i < want; i++)
            chunk[i] = value++;
        for (size_t off = 0; off < want;) {
            size_t k = ring_write(&ring, chunk + off, want - off);
            if (k == 0)
                sched_yield();
            off += k;
        }
        sent += want;
    }
    return NULL;
}

int main(void)
{
    pthread_t producer;
    if (pthread_create(&producer, NULL, produce, NULL) != 0) {
        perror("pthread_create");
        return 1;
    }

    unsigned char buf[257], expect = 0;
    size_t bad = 0;
    for (size_t got = 0; got < total;) {
        size_t k = ring_read(&ring, buf, sizeof buf);
        if (k == 0)
            sched_yield();
        for (size_t i = 0; i < k; i++)
            bad += buf[i] != expect++;
        got += k;
    }
    pthread_join(producer, NULL);

    printf("%zu bytes, %zu out of order\n", total, bad);
    return bad != 0;
}
