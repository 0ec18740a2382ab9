// Per-segment mean, variance and extremes in one kernel.
//
// One block handles one segment (CSR-style offsets). Partial results are
// merged with the pairwise update for moments, first by warp shuffles and
// then through shared memory, so that no sum of squares can cancel.

#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define CUDA_CHECK(call)                                                     \
    do {                                                                     \
        cudaError_t err_ = (call);                                           \
        if (err_ != cudaSuccess) {                                           \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,          \
                         cudaGetErrorString(err_));                          \
            std::exit(EXIT_FAILURE);                                         \
        }                                                                    \
    } while (0)

struct Moments {
    float n, mean, m2, lo, hi;

    __host__ __device__ static Moments empty() {
        return {0.0f, 0.0f, 0.0f, FLT_MAX, -FLT_MAX};
    }

    __host__ __device__ void push(float x) {
        n += 1.0f;
        const float delta = x - mean;
        mean += delta / n;
        m2 += delta * (x - mean);
        lo = fminf(lo, x);
        hi = fmaxf(hi, x);
    }

    __host__ __device__ void merge(const Moments& b) {
        const float total = n + b.n;
        if (total == 0.0f) return;
        const float delta = b.mean - mean;
        const float share = b.n / total;
        mean += delta * share;
        m2 += b.m2 + delta * delta * n * share;
        n = total;
        lo = fminf(lo, b.lo);
        hi = fmaxf(hi, b.hi);
    }
};

constexpr unsigned kFullMask = 0xffffffffu;
constexpr int kBlock = 256;

__device__ Moments shuffle_down(const Moments& m, int delta) {
    return {__shfl_down_sync(kFullMask, m.n, delta),
            __shfl_down_sync(kFullMask, m.mean, delta),
            __shfl_down_sync(kFullMask, m.m2, delta),
            __shfl_down_sync(kFullMask, m.lo, delta),
            __shfl_down_sync(kFullMask, m.hi, delta)};
}

// The result is valid in lane 0.
__device__ Moments warp_merge(Moments m) {
#pragma unroll
    for (int delta = warpSize / 2; delta > 0; delta /= 2)
        m.merge(shuffle_down(m, delta));
    return m;
}

__global__ void __launch_bounds__(kBlock)
segment_moments(const float* __restrict__ values, const int* __restrict__ offsets,
                Moments* __restrict__ out) {
    __shared__ Moments per_warp[kBlock / 32];

    const int begin = offsets[blockIdx.x];
    const int end = offsets[blockIdx.x + 1];
    Moments m = Moments::empty();
    for (int i = begin + threadIdx.x; i < end; i += kBlock)
        m.push(values[i]);

    m = warp_merge(m);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (lane == 0) per_warp[warp] = m;
    __syncthreads();

    if (warp == 0) {
        m = lane < kBlock / 32 ? per_warp[lane] : Moments::empty();
        m = warp_merge(m);
        if (lane == 0) out[blockIdx.x] = m;
    }
}

int main() {
    // Segments of very different length, one of them empty, around a large
    // offset that would ruin a naive sum of squares in single precision.
    const std::vector<int> lengths = {1, 0, 31, 1000, 257, 65536, 3};
    std::vector<int> offsets = {0};
    std::vector<float> values;
    unsigned state = 12345;
    for (int len : lengths) {
        for (int i = 0; i < len; ++i) {
            state = state * 1664525u + 1013904223u;
            values.push_back(10000.0f + static_cast<float>(state >> 8) / (1 << 24));
        }
        offsets.push_back(static_cast<int>(values.size()));
    }
    const int segments = static_cast<int>(lengths.size());

    float* d_values;
    int* d_offsets;
    Moments* d_out;
    CUDA_CHECK(cudaMalloc(&d_values, values.size() * sizeof(float)));
    CUDA_CHECK(cudaMalloc(&d_offsets, offsets.size() * sizeof(int)));
    CUDA_CHECK(cudaMalloc(&d_out, segments * sizeof(Moments)));
    CUDA_CHECK(cudaMemcpy(d_values, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaMemcpy(d_offsets, offsets.data(), offsets.size() * sizeof(int), cudaMemcpyHostToDevice));

    segment_moments<<<segments, kBlock>>>(d_values, d_offsets, d_out);
    CUDA_CHECK(cudaGetLastError());

    std::vector<Moments> got(segments);
    CUDA_CHECK(cudaMemcpy(got.data(), d_out, segments * sizeof(Moments), cudaMemcpyDeviceToHost));

    int bad = 0;
    for (int s = 0; s < segments; ++s) {
        double mean = 0, var = 0;
        for (int i = offsets[s]; i < offsets[s + 1]; ++i) mean += values[i] / double(lengths[s]);
        for (int i = offsets[s]; i < offsets[s + 1]; ++i) var += std::pow(values[i] - mean, 2);
        const bool ok = got[s].n == lengths[s] && (lengths[s] == 0 || std::fabs(got[s].mean - mean) < 2e-2)
                        && std::fabs(got[s].m2 - var) <= 1e-2 * var + 1e-3;
        bad += !ok;
        std::printf("%6d values  mean %.4f  m2 %.4f  %s\n", lengths[s], got[s].mean, got[s].m2, ok ? "ok" : "BAD");
    }
    CUDA_CHECK(cudaFree(d_values));
    CUDA_CHECK(cudaFree(d_offsets));
    CUDA_CHECK(cudaFree(d_out));
    return bad != 0;
}
