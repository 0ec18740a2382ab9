// Bandwidth of four ways to transpose a matrix, as a table.
//
//   copy      the limit: same traffic, no transposition
//   naive     coalesced reads, strided writes
//   tile      through shared memory, with bank conflicts
//   swizzled  the column is XORed with the row: no conflicts, no padding

#include <cstdio>
#include <cstdlib>
#include <vector>

#define CHECK(x)                                                                  \
    if (cudaError_t e = (x); e != cudaSuccess) {                                  \
        std::fprintf(stderr, #x ": %s\n", cudaGetErrorString(e));                 \
        std::exit(1);                                                             \
    }

constexpr int kTile = 32;
constexpr int kRows = 8;  // each thread handles kTile / kRows elements

using Kernel = void (*)(float*, const float*, int width, int height);

__global__ void copy(float* out, const float* in, int width, int height) {
    const int x = blockIdx.x * kTile + threadIdx.x;
    const int y0 = blockIdx.y * kTile + threadIdx.y;
    for (int j = 0; j < kTile; j += kRows)
        if (x < width && y0 + j < height)
            out[(size_t)(y0 + j) * width + x] = in[(size_t)(y0 + j) * width + x];
}

__global__ void naive(float* out, const float* in, int width, int height) {
    const int x = blockIdx.x * kTile + threadIdx.x;
    const int y0 = blockIdx.y * kTile + threadIdx.y;
    for (int j = 0; j < kTile; j += kRows)
        if (x < width && y0 + j < height)
            out[(size_t)x * height + y0 + j] = in[(size_t)(y0 + j) * width + x];
}

template <bool Swizzle>
__device__ int slot(int row, int column) {
    return row * kTile + (Swizzle ? column ^ row : column);
}

template <bool Swizzle>
__global__ void tiled(float* out, const float* in, int width, int height) {
    __shared__ float tile[kTile * kTile];

    int x = blockIdx.x * kTile + threadIdx.x;
    int y = blockIdx.y * kTile + threadIdx.y;
    for (int j = 0; j < kTile; j += kRows)
        if (x < width && y + j < height)
            tile[slot<Swizzle>(threadIdx.y + j, threadIdx.x)] = in[(size_t)(y + j) * width + x];
    __syncthreads();

    // The block's place in the output is mirrored; rows stay rows.
    x = blockIdx.y * kTile + threadIdx.x;
    y = blockIdx.x * kTile + threadIdx.y;
    for (int j = 0; j < kTile; j += kRows)
        if (x < height && y + j < width)
            out[(size_t)(y + j) * height + x] = tile[slot<Swizzle>(threadIdx.x, threadIdx.y + j)];
}

struct Variant {
    const char* name;
    Kernel kernel;
    bool transposes;
};

double median_ms(Kernel kernel, float* out, const float* in, int w, int h) {
    const dim3 block(kTile, kRows);
    const dim3 grid((w + kTile - 1) / kTile, (h + kTile - 1) / kTile);
    cudaEvent_t a, b;
    CHECK(cudaEventCreate(&a));
    CHECK(cudaEventCreate(&b));

    std::vector<float> times;
    for (int run = 0; run < 23; ++run) {
        CHECK(cudaEventRecord(a));
        kernel<<<grid, block>>>(out, in, w, h);
        CHECK(cudaEventRecord(b));
        CHECK(cudaEventSynchronize(b));
        float ms;
        CHECK(cudaEventElapsedTime(&ms, a, b));
        if (run >= 2) times.push_back(ms);  // the first runs warm up
    }
    CHECK(cudaGetLastError());
    CHECK(cudaEventDestroy(a));
    CHECK(cudaEventDestroy(b));
    // selection of the median: 21 values do not deserve <algorithm>
    for (size_t i = 0; i <= times.size() / 2; ++i)
        for (size_t j = i + 1; j < times.size(); ++j)
            if (times[j] < times[i]) { float t = times[i]; times[i] = times[j]; times[j] = t; }
    return times[times.size() / 2];
}

bool correct(const std::vector<float>& in, const std::vector<float>& out, int w, int h, bool transposed) {
    for (int y = 0; y < h; ++y)
        for (int x = 0; x < w; ++x) {
            const size_t from = (size_t)y * w + x;
            const size_t to = transposed ? (size_t)x * h + y : from;
            if (out[to] != in[from]) return false;
        }
    return true;
}

int main(int argc, char** argv) {
    const int w = argc > 1 ? std::atoi(argv[1]) : 4096;
    const int h = argc > 2 ? std::atoi(argv[2]) : 4096 + 40;  // not a multiple of the tile
    const size_t count = (size_t)w * h, bytes = count * sizeof(float);

    std::vector<float> host(count), back(count);
    for (size_t i = 0; i < count; ++i) host[i] = (float)(i % 16777213);
    float *in, *out;
    CHECK(cudaMalloc(&in, bytes));
    CHECK(cudaMalloc(&out, bytes));
    CHECK(cudaMemcpy(in, host.data(), bytes, cudaMemcpyHostToDevice));

    const Variant variants[] = {
        {"copy", copy, false}, {"naive", naive, true}, {"tile", tiled<false>, true}, {"swizzled", tiled<true>, true}};
    bool all_ok = true;
    std::printf("%d x %d\n%-9s %10s %10s\n", w, h, "kernel", "ms", "GB/s");
    for (const Variant& v : variants) {
        CHECK(cudaMemset(out, 0xff, bytes));
        const double ms = median_ms(v.kernel, out, in, w, h);
        CHECK(cudaMemcpy(back.data(), out, bytes, cudaMemcpyDeviceToHost));
        const bool ok = correct(host, back, w, h, v.transposes);
        all_ok &= ok;
        std::printf("%-9s %10.3f %10.1f %s\n", v.name, ms, 2.0 * bytes / ms * 1e-6, ok ? "" : "WRONG");
    }
    CHECK(cudaFree(in));
    CHECK(cudaFree(out));
    return all_ok ? 0 : 1;
}
