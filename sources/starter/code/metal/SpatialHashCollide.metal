// Soft-sphere collisions on a uniform grid.
//
// Per frame:  clearCells -> insertSpheres -> collide -> integrate
// Every cell keeps a linked list threaded through `next`; insertion is one
// atomic exchange. The order within a list varies from run to run, so the
// forces of a pair are summed symmetrically to keep the result close.

#include <metal_stdlib>
#include <metal_atomic>
using namespace metal;

struct Sphere {
    float3 position;
    float3 velocity;
    float radius;
    float inverseMass;      // 0 pins a sphere in place
};

struct World {
    float3 lower;
    float3 upper;
    float cellSize;         // at least the largest diameter
    float stiffness;
    float damping;
    float deltaTime;
    uint sphereCount;
    uint cellMask;          // table size - 1, a power of two minus one
};

constant constexpr uint kEndOfList = 0xffffffffu;

static inline int3 cellOf(float3 p, constant World &world)
{
    return int3(floor((p - world.lower) / world.cellSize));
}

// Different cells may share a slot; the distance test sorts that out.
static inline uint slotOf(int3 cell, constant World &world)
{
    const uint3 c = as_type<uint3>(cell) * uint3(0x8da6b343u, 0xd8163841u, 0xcb1ab31fu);
    uint h = c.x ^ c.y ^ c.z;
    h ^= h >> 15;
    return h & world.cellMask;
}

kernel void clearCells(device atomic_uint *heads [[buffer(0)]],
                       constant World &world     [[buffer(1)]],
                       uint gid [[thread_position_in_grid]])
{
    if (gid <= world.cellMask) {
        atomic_store_explicit(&heads[gid], kEndOfList, memory_order_relaxed);
    }
}

kernel void insertSpheres(device const Sphere *spheres [[buffer(0)]],
                          device atomic_uint *heads    [[buffer(1)]],
                          device uint *next            [[buffer(2)]],
                          constant World &world        [[buffer(3)]],
                          uint gid [[thread_position_in_grid]])
{
    if (gid >= world.sphereCount) {
        return;
    }
    const uint slot = slotOf(cellOf(spheres[gid].position, world), world);
    next[gid] = atomic_exchange_explicit(&heads[slot], gid, memory_order_relaxed);
}

// Spring and dashpot along the line of centres.
static float3 contactForce(Sphere a, Sphere b, constant World &world)
{
    const float3 offset = a.position - b.position;
    const float reach = a.radius + b.radius;
    const float distance2 = length_squared(offset);
    if (distance2 >= reach * reach || distance2 < 1e-12f) {
        return float3(0.0f);
    }
    const float distance = sqrt(distance2);
    const float3 normal = offset / distance;
    const float approach = dot(a.velocity - b.velocity, normal);
    const float push = world.stiffness * (reach - distance) - world.damping * approach;
    return normal * max(push, 0.0f); // contact never pulls
}

kernel void collide(device const Sphere *spheres     [[buffer(0)]],
                    device const atomic_uint *heads  [[buffer(1)]],
                    device const uint *next          [[buffer(2)]],
                    device float3 *forces            [[buffer(3)]],
                    constant World &world            [[buffer(4)]],
                    uint gid [[thread_position_in_grid]])
{
    if (gid >= world.sphereCount) {
        return;
    }
    const Sphere self = spheres[gid];
    const int3 home = cellOf(self.position, world);
    float3 force = float3(0.0f);
    for (int i = 0; i < 27; ++i) {
        const int3 cell = home + int3(i % 3, i / 3 % 3, i / 9) - 1;
        uint other = atomic_load_explicit(&heads[slotOf(cell, world)], memory_order_relaxed);
        while (other != kEndOfList) {
            // With hashed cells a sphere could be met twice: count it only
            // where its own cell is the one being visited.
            if (other != gid && all(cellOf(spheres[other].position, world) == cell)) {
                force += contactForce(self, spheres[other], world);
            }
            other = next[other];
        }
    }
    forces[gid] = force;
}

kernel void integrate(device Sphere *spheres      [[buffer(0)]],
                      device const float3 *forces [[buffer(1)]],
                      constant World &world       [[buffer(2)]],
                      uint gid [[thread_position_in_grid]])
{
    if (gid >= world.sphereCount || spheres[gid].inverseMass == 0.0f) {
        return;
    }
    Sphere s = spheres[gid];
    s.velocity += (forces[gid] * s.inverseMass + float3(0, -9.81f, 0)) * world.deltaTime;
    s.position += s.velocity * world.deltaTime;

    // Reflect at the walls, losing a third of the speed.
    const float3 low = world.lower + s.radius;
    const float3 high = world.upper - s.radius;
    const bool3 outside = (s.position < low) || (s.position > high);
    s.velocity = select(s.velocity, s.velocity * -0.66f, outside);
    s.position = clamp(s.position, low, high);
    spheres[gid] = s;
}
