//
//  PrefixSum.metal
//
//  Exclusive prefix sum of 32-bit counts and stream compaction built on it.
//  Three passes: scan blocks, scan the block totals, add the offsets. Within
//  a SIMD group the hardware scans; threadgroup memory joins the groups.
//

#include <metal_stdlib>
using namespace metal;

constant constexpr uint kItemsPerThread = 4;
constant constexpr uint kMaxSimdGroups = 32;

struct ScanParameters {
    uint count;
};

/// Exclusive scan over the whole threadgroup. Every thread must call it.
/// `total` receives the sum of all values in every thread.
static uint threadgroupExclusiveScan(uint value,
                                     threadgroup uint *partial,
                                     uint lane,
                                     uint simdIndex,
                                     uint simdCount,
                                     thread uint &total)
{
    const uint within = simd_prefix_exclusive_sum(value);
    const uint groupSum = simd_sum(value);
    if (lane == 0) {
        partial[simdIndex] = groupSum;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);

    if (simdIndex == 0) {
        const uint sum = lane < simdCount ? partial[lane] : 0;
        const uint before = simd_prefix_exclusive_sum(sum);
        if (lane < simdCount) {
            partial[lane] = before;
        }
        if (lane == simdCount - 1) {
            partial[kMaxSimdGroups] = before + sum;
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);

    total = partial[kMaxSimdGroups];
    return partial[simdIndex] + within;
}

kernel void scanBlocks(device const uint *input              [[buffer(0)]],
                       device uint *output                   [[buffer(1)]],
                       device uint *blockTotals              [[buffer(2)]],
                       constant ScanParameters &parameters   [[buffer(3)]],
                       uint tid       [[thread_position_in_threadgroup]],
                       uint block     [[threadgroup_position_in_grid]],
                       uint blockSize [[threads_per_threadgroup]],
                       uint lane      [[thread_index_in_simdgroup]],
                       uint simdIndex [[simdgroup_index_in_threadgroup]],
                       uint simdCount [[simdgroups_per_threadgroup]])
{
    threadgroup uint partial[kMaxSimdGroups + 1];

    // Each thread sums a few neighbouring items before the parallel part.
    const uint first = (block * blockSize + tid) * kItemsPerThread;
    uint items[kItemsPerThread];
    uint sum = 0;
    for (uint i = 0; i < kItemsPerThread; ++i) {
        const uint value = first + i < parameters.count ? input[first + i] : 0;
        items[i] = sum;
        sum += value;
    }

    uint total;
    const uint base = threadgroupExclusiveScan(sum, partial, lane, simdIndex, simdCount, total);
    for (uint i = 0; i < kItemsPerThread; ++i) {
        if (first + i < parameters.count) {
            output[first + i] = base + items[i];
        }
    }
    if (tid == 0) {
        blockTotals[block] = total;
    }
}

/// Launched with the block size of scanBlocks times kItemsPerThread.
kernel void addBlockOffsets(device uint *output                 [[buffer(0)]],
                            device const uint *blockOffsets     [[buffer(1)]],
                            constant ScanParameters &parameters [[buffer(2)]],
                            uint gid   [[thread_position_in_grid]],
                            uint block [[threadgroup_position_in_grid]])
{
    if (gid < parameters.count) {
        output[gid] += blockOffsets[block];
    }
}

/// Laid out as MTLDrawPrimitivesIndirectArguments on the host.
struct DrawArguments {
    uint vertexCount;
    uint instanceCount;
    uint vertexStart;
    uint baseInstance;
};

struct Particle {
    packed_float3 position;
    float age;
    packed_float3 velocity;
    float lifetime;
};

kernel void markAlive(device const Particle *particles    [[buffer(0)]],
                      device uint *alive                  [[buffer(1)]],
                      constant ScanParameters &parameters [[buffer(2)]],
                      uint gid [[thread_position_in_grid]])
{
    if (gid < parameters.count) {
        alive[gid] = particles[gid].age < particles[gid].lifetime ? 1 : 0;
    }
}

/// Moves the living particles to the front, keeping their order, and stores
/// how many there are for an indirect draw.
kernel void compact(device const Particle *source                [[buffer(0)]],
                    device Particle *target                      [[buffer(1)]],
                    device const uint *alive                     [[buffer(2)]],
                    device const uint *offsets                   [[buffer(3)]],
                    device DrawArguments *draw                   [[buffer(4)]],
                    constant ScanParameters &parameters          [[buffer(5)]],
                    uint gid [[thread_position_in_grid]])
{
    if (gid >= parameters.count) {
        return;
    }
    if (alive[gid] != 0) {
        target[offsets[gid]] = source[gid];
    }
    if (gid == parameters.count - 1) {
        draw->vertexCount = 4;
        draw->instanceCount = offsets[gid] + alive[gid];
        draw->vertexStart = 0;
        draw->baseInstance = 0;
    }
}
