// Histogram equalisation of 8-bit images, batched.
//
// The histogram is privatised twice over: every warp counts into a copy of
// its own in shared memory, so that uniform images do not serialise on one
// counter, and blocks add to global memory only once. The lookup table is
// built by one block per image and applied to four pixels at a time.

#include <cooperative_groups.h>
#include <cooperative_groups/scan.h>
#include <cstdint>
#include <cuda_runtime.h>

namespace imgproc {

namespace cg = cooperative_groups;

constexpr int kBins = 256;
constexpr int kHistThreads = 256;
constexpr int kWarps = kHistThreads / 32;

/// One image of the batch; rows are `pitch` bytes apart, a multiple of four.
struct ImageView {
    std::uint8_t* pixels;
    int width, height;
    std::size_t pitch;
};

/// grid: (blocks per image, images). `hist` must be zero: kBins per image.
__global__ void histogram_kernel(const ImageView* images, unsigned* hist) {
    __shared__ unsigned counts[kWarps][kBins];

    const auto block = cg::this_thread_block();
    for (int i = block.thread_rank(); i < kWarps * kBins; i += kHistThreads)
        (&counts[0][0])[i] = 0;
    block.sync();

    const ImageView img = images[blockIdx.y];
    const int warp = threadIdx.x / 32;
    const int words = (img.width + 3) / 4;
    for (int y = blockIdx.x; y < img.height; y += gridDim.x) {
        const auto* row = reinterpret_cast<const std::uint32_t*>(img.pixels + y * img.pitch);
        for (int w = threadIdx.x; w < words; w += kHistThreads) {
            std::uint32_t four = row[w];
            const int valid = min(4, img.width - 4 * w);  // the last word may be partial
            for (int k = 0; k < valid; ++k, four >>= 8)
                atomicAdd(&counts[warp][four & 0xff], 1u);
        }
    }
    block.sync();

    unsigned sum = 0;
    for (int w = 0; w < kWarps; ++w)
        sum += counts[w][threadIdx.x];  // kHistThreads == kBins
    if (sum != 0)
        atomicAdd(&hist[blockIdx.y * kBins + threadIdx.x], sum);
}

/// One block of kBins threads per image turns counts into a lookup table.
__global__ void lut_kernel(const ImageView* images, const unsigned* hist, std::uint8_t* lut) {
    __shared__ unsigned warp_total[kBins / 32];
    __shared__ unsigned first_count;

    const auto block = cg::this_thread_block();
    const auto warp = cg::tiled_partition<32>(block);
    const int bin = threadIdx.x;
    const unsigned count = hist[blockIdx.x * kBins + bin];
    const unsigned within = cg::inclusive_scan(warp, count);
    if (warp.thread_rank() == 31)
        warp_total[warp.meta_group_rank()] = within;
    if (bin == 0)
        first_count = 0;
    block.sync();

    unsigned cdf = within;
    for (unsigned w = 0; w < warp.meta_group_rank(); ++w)
        cdf += warp_total[w];
    // The darkest level in use maps to zero.
    if (cdf == count && count != 0)
        first_count = count;
    block.sync();

    const unsigned total = unsigned(images[blockIdx.x].width) * images[blockIdx.x].height;
    const unsigned range = total - first_count;
    const unsigned level = cdf < first_count ? 0 : cdf - first_count;
    lut[blockIdx.x * kBins + bin] = range == 0
        ? std::uint8_t(bin)  // a uniform image stays as it is
        : std::uint8_t((level * 255ull + range / 2) / range);
}

__global__ void apply_kernel(const ImageView* images, const std::uint8_t* lut) {
    __shared__ std::uint8_t table[kBins];
    if (threadIdx.x < kBins)
        table[threadIdx.x] = lut[blockIdx.y * kBins + threadIdx.x];
    __syncthreads();

    const ImageView img = images[blockIdx.y];
    const int words = (img.width + 3) / 4;
    for (int y = blockIdx.x; y < img.height; y += gridDim.x) {
        auto* row = reinterpret_cast<std::uint32_t*>(img.pixels + y * img.pitch);
        for (int w = threadIdx.x; w < words; w += blockDim.x) {
            const std::uint32_t v = row[w];
            row[w] = table[v & 0xff] | table[v >> 8 & 0xff] << 8 |
                     table[v >> 16 & 0xff] << 16 | std::uint32_t(table[v >> 24]) << 24;
        }
    }
}

/// Scratch memory that a batch of `images` needs.
constexpr std::size_t scratch_bytes(int images) {
    return std::size_t(images) * kBins * (sizeof(unsigned) + 1);
}

/// Equalises every image in place. All pointers refer to device memory; the
/// work is ordered on `stream` and may be captured into a graph.
inline cudaError_t equalize(const ImageView* images, int count, void* scratch, cudaStream_t stream) {
    if (count <= 0)
        return count == 0 ? cudaSuccess : cudaErrorInvalidValue;
    auto* hist = static_cast<unsigned*>(scratch);
    auto* lut = reinterpret_cast<std::uint8_t*>(hist + std::size_t(count) * kBins);

    if (auto err = cudaMemsetAsync(hist, 0, count * kBins * sizeof(unsigned), stream))
        return err;
    const dim3 grid(count > 64 ? 4 : 32, count);
    histogram_kernel<<<grid, kHistThreads, 0, stream>>>(images, hist);
    lut_kernel<<<count, kBins, 0, stream>>>(images, hist, lut);
    apply_kernel<<<grid, 256, 0, stream>>>(images, lut);
    return cudaGetLastError();
}

}  // namespace imgproc
