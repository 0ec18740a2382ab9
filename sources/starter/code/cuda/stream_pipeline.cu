// Processes a signal larger than we care to keep on the device: chunks move
// through upload, FIR filter and download on several streams, so that the
// copy engines and the multiprocessors work at the same time.
//
// Chunks overlap by taps - 1 samples. Pinned host memory is required for
// the copies to be asynchronous at all.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <cuda_runtime.h>

namespace {

void check(cudaError_t status, const char* what) {
    if (status != cudaSuccess)
        throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

constexpr int kTaps = 33;
constexpr int kStreams = 3;
constexpr int kChunk = 1 << 18;
constexpr int kThreads = 256;

__constant__ float c_taps[kTaps];

// out[i] = sum_k taps[k] * in[i + k]; `in` has n + kTaps - 1 samples.
__global__ void fir(const float* __restrict__ in, float* __restrict__ out, int n) {
    __shared__ float window[kThreads + kTaps - 1];

    const int base = blockIdx.x * kThreads;
    const int available = n + kTaps - 1;
    for (int j = threadIdx.x; j < kThreads + kTaps - 1; j += kThreads)
        window[j] = base + j < available ? in[base + j] : 0.0f;
    __syncthreads();

    const int i = base + threadIdx.x;
    if (i >= n) return;
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < kTaps; ++k)
        sum = fmaf(c_taps[k], window[threadIdx.x + k], sum);
    out[i] = sum;
}

struct DeviceFree { void operator()(void* p) const { cudaFree(p); } };
struct HostFree   { void operator()(void* p) const { cudaFreeHost(p); } };

using DeviceBuffer = std::unique_ptr<float[], DeviceFree>;
using PinnedBuffer = std::unique_ptr<float[], HostFree>;

DeviceBuffer device_alloc(size_t n) {
    float* p = nullptr;
    check(cudaMalloc(&p, n * sizeof(float)), "cudaMalloc");
    return DeviceBuffer(p);
}

PinnedBuffer pinned_alloc(size_t n) {
    float* p = nullptr;
    check(cudaMallocHost(&p, n * sizeof(float)), "cudaMallocHost");
    return PinnedBuffer(p);
}

class Lane {
public:
    Lane() : in_(device_alloc(kChunk + kTaps - 1)), out_(device_alloc(kChunk)) {
        check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "stream");
    }
    ~Lane() { cudaStreamDestroy(stream_); }
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    // Work on one stream is ordered, so the buffers are free again by the
    // time the next chunk of this lane starts its upload.
    void enqueue(const float* src, float* dst, int n) {
        check(cudaMemcpyAsync(in_.get(), src, (n + kTaps - 1) * sizeof(float),
                              cudaMemcpyHostToDevice, stream_), "upload");
        fir<<<(n + kThreads - 1) / kThreads, kThreads, 0, stream_>>>(in_.get(), out_.get(), n);
        check(cudaGetLastError(), "fir");
        check(cudaMemcpyAsync(dst, out_.get(), n * sizeof(float),
                              cudaMemcpyDeviceToHost, stream_), "download");
    }

private:
    DeviceBuffer in_, out_;
    cudaStream_t stream_{};
};

float run(Lane* lanes, int lane_count, const float* src, float* dst, int total) {
    cudaEvent_t start, stop;
    check(cudaEventCreate(&start), "event");
    check(cudaEventCreate(&stop), "event");
    check(cudaDeviceSynchronize(), "sync");
    check(cudaEventRecord(start), "record");
    for (int at = 0, turn = 0; at < total; at += kChunk, ++turn)
        lanes[turn % lane_count].enqueue(src + at, dst + at, std::min(kChunk, total - at));
    check(cudaDeviceSynchronize(), "sync");
    check(cudaEventRecord(stop), "record");
    check(cudaEventSynchronize(stop), "sync");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, start, stop), "elapsed");
    cudaEventDestroy(start);
    cudaEventDestroy(stop);
    return ms;
}

}  // namespace

int main() try {
    std::array<float, kTaps> taps;
    for (int k = 0; k < kTaps; ++k)  // triangular window: a crude low pass
        taps[k] = static_cast<float>(std::min(k, kTaps - 1 - k) + 1);
    const float gain = std::accumulate(taps.begin(), taps.end(), 0.0f);
    for (float& t : taps) t /= gain;
    check(cudaMemcpyToSymbol(c_taps, taps.data(), sizeof taps), "taps");

    const int total = 20 * kChunk + 777;
    PinnedBuffer signal = pinned_alloc(total + kTaps - 1);
    PinnedBuffer result = pinned_alloc(total);
    for (int i = 0; i < total + kTaps - 1; ++i)
        signal[i] = static_cast<float>(i % 1000 < 500);

    std::vector<Lane> lanes(kStreams);
    std::printf("one stream:    %.2f ms\n", run(lanes.data(), 1, signal.get(), result.get(), total));
    std::printf("three streams: %.2f ms\n", run(lanes.data(), kStreams, signal.get(), result.get(), total));

    for (int i : {0, kChunk - 1, kChunk, total - 1}) {
        float want = 0;
        for (int k = 0; k < kTaps; ++k) want += taps[k] * signal[i + k];
        if (std::abs(want - result[i]) > 1e-5f) throw std::runtime_error("wrong at " + std::to_string(i));
    }
} catch (const std::exception& e) {
    std::fprintf(stderr, "stream_pipeline: %s\n", e.what());
    return 1;
}
