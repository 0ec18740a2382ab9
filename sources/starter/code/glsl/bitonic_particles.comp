#version 450

// Sorts particle indices by distance, far to near, for blending.
//
// Bitonic merge sort on 64-bit pairs (key, index). The host dispatches the
// same shader with different stages:
//
//   STAGE_MAKE_KEYS     fills the list from the particles
//   STAGE_LOCAL_SORT    sorts blocks of BLOCK items in shared memory
//   STAGE_GLOBAL_STEP   one compare-exchange step at distance `step`
//   STAGE_LOCAL_MERGE   all remaining steps whose distance fits in a block
//
// for (k = 2 * BLOCK; k <= n; k *= 2) {
//     for (j = k / 2; j >= BLOCK; j /= 2) dispatch(GLOBAL_STEP, k, j);
//     dispatch(LOCAL_MERGE, k);
// }
//
// n is the particle count rounded up to a power of two, at least BLOCK.

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint THREADS = 256;
layout(constant_id = 1) const int STAGE = 0;

const int STAGE_MAKE_KEYS = 0;
const int STAGE_LOCAL_SORT = 1;
const int STAGE_GLOBAL_STEP = 2;
const int STAGE_LOCAL_MERGE = 3;

const uint BLOCK = 2 * THREADS;     // every thread owns one pair per step

struct Particle {
    vec4 positionAge;
    vec4 velocitySize;
};

layout(set = 0, binding = 0, std430) readonly buffer Particles { Particle particles[]; };
layout(set = 0, binding = 1, std430) buffer Keys { uvec2 items[]; };    // key, index

layout(push_constant) uniform Push {
    vec3 eye;
    uint count;         // live particles
    vec3 forward;
    uint padded;        // n
    uint k;             // length of the bitonic sequences
    uint step;          // distance of the pairs, for STAGE_GLOBAL_STEP
} push;

shared uvec2 block[BLOCK];

// Maps a float to an unsigned integer of the same order.
uint orderedBits(float f)
{
    uint u = floatBitsToUint(f);
    return (u & 0x80000000u) != 0u ? ~u : u | 0x80000000u;
}

// The far ones come first: a larger key means closer. Ties are broken by
// the index, so that particles at one distance do not flicker.
bool outOfOrder(uvec2 a, uvec2 b)
{
    return a.x > b.x || (a.x == b.x && a.y > b.y);
}

void makeKeys(uint id)
{
    if (id >= push.padded)
        return;
    if (id >= push.count) {
        items[id] = uvec2(0xffffffffu, id);     // padding sorts to the end
        return;
    }
    float depth = dot(particles[id].positionAge.xyz - push.eye, push.forward);
    items[id] = uvec2(~orderedBits(depth), id);
}

// Index of the lower element of this thread's pair at distance j.
uint lowerOfPair(uint thread, uint j)
{
    return 2 * (thread & ~(j - 1)) + (thread & (j - 1));
}

void exchangeShared(uint local, uint base, uint k, uint j)
{
    uint lo = lowerOfPair(local, j);
    uint hi = lo + j;
    bool ascending = ((base + lo) & k) == 0;
    uvec2 a = block[lo], b = block[hi];
    if (outOfOrder(a, b) == ascending) {
        block[lo] = b;
        block[hi] = a;
    }
}

// Steps of the sequence length k from distance `from` down to 1.
void mergeShared(uint local, uint base, uint k, uint from)
{
    for (uint j = from; j > 0; j /= 2) {
        barrier();
        exchangeShared(local, base, k, j);
    }
}

void main()
{
    uint id = gl_GlobalInvocationID.x;
    uint local = gl_LocalInvocationID.x;

    if (STAGE == STAGE_MAKE_KEYS) {
        makeKeys(id);
        return;
    }

    if (STAGE == STAGE_GLOBAL_STEP) {
        uint lo = lowerOfPair(id, push.step);
        uint hi = lo + push.step;
        bool ascending = (lo & push.k) == 0;
        uvec2 a = items[lo], b = items[hi];
        if (outOfOrder(a, b) == ascending) {
            items[lo] = b;
            items[hi] = a;
        }
        return;
    }

    uint base = gl_WorkGroupID.x * BLOCK;
    block[local] = items[base + local];
    block[local + THREADS] = items[base + local + THREADS];

    if (STAGE == STAGE_LOCAL_SORT) {
        for (uint k = 2; k <= BLOCK; k *= 2)
            mergeShared(local, base, k, k / 2);
    } else {
        mergeShared(local, base, push.k, THREADS);
    }

    barrier();
    items[base + local] = block[local];
    items[base + local + THREADS] = block[local + THREADS];
}
