// Hierarchical GPU timings with timestamp queries, read back a few frames late
// so that the CPU never waits for them.
//
//     {
//         auto scope = profiler.scope(cmd, "shadow map");
//         ... record draws ...
//     }
#include <vulkan/vulkan.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

class GpuProfiler {
    static constexpr uint32_t kFrames = 3;
    static constexpr uint32_t kMaxScopes = 128;

public:
    class Scope {
    public:
        Scope(GpuProfiler* owner, VkCommandBuffer cmd, uint32_t index) : owner_(owner), cmd_(cmd), index_(index) {}
        Scope(Scope&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)), cmd_(other.cmd_), index_(other.index_) {}
        Scope& operator=(Scope&&) = delete;
        ~Scope() {
            if (owner_) owner_->close(cmd_, index_);
        }

    private:
        GpuProfiler* owner_;
        VkCommandBuffer cmd_;
        uint32_t index_;
    };

    struct Statistic {
        uint32_t depth = 0;
        double milliseconds = 0;  // exponential moving average
        double worst = 0;
        uint64_t samples = 0;
    };

    GpuProfiler(VkPhysicalDevice gpu, VkDevice device, uint32_t validBits) : device_(device) {
        VkPhysicalDeviceProperties props{};
        vkGetPhysicalDeviceProperties(gpu, &props);
        if (validBits == 0) throw std::runtime_error("this queue family has no timestamps");
        nanosecondsPerTick_ = props.limits.timestampPeriod;
        mask_ = validBits >= 64 ? ~uint64_t{0} : (uint64_t{1} << validBits) - 1;

        VkQueryPoolCreateInfo info{VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO};
        info.queryType = VK_QUERY_TYPE_TIMESTAMP;
        info.queryCount = kMaxScopes * 2;
        for (Frame& f : frames_)
            if (vkCreateQueryPool(device_, &info, nullptr, &f.pool) != VK_SUCCESS)
                throw std::runtime_error("cannot create query pool");
    }

    ~GpuProfiler() {
        for (Frame& f : frames_) vkDestroyQueryPool(device_, f.pool, nullptr);
    }

    GpuProfiler(const GpuProfiler&) = delete;
    GpuProfiler& operator=(const GpuProfiler&) = delete;

    // First thing in the frame's command buffer, outside any render pass: the
    // reset is not allowed inside one.
    void beginFrame(VkCommandBuffer cmd) {
        current_ = (current_ + 1) % kFrames;
        Frame& f = frames_[current_];
        readBack(f);
        f.names.clear();
        depth_ = 0;
        vkCmdResetQueryPool(cmd, f.pool, 0, kMaxScopes * 2);
    }

    [[nodiscard]] Scope scope(VkCommandBuffer cmd, std::string_view name) {
        Frame& f = frames_[current_];
        if (f.names.size() == kMaxScopes) return Scope(nullptr, cmd, 0);  // silently drop the excess
        const auto index = static_cast<uint32_t>(f.names.size());
        f.names.push_back({std::string(name), depth_++});
        vkCmdWriteTimestamp2(cmd, VK_PIPELINE_STAGE_2_TOP_OF_PIPE_BIT, f.pool, index * 2);
        return Scope(this, cmd, index);
    }

    const std::map<std::string, Statistic>& statistics() const { return stats_; }

    void print(std::FILE* out) const {
        for (const auto& [name, s] : stats_)
            std::fprintf(out, "%*s%-24s %7.3f ms (worst %7.3f)\n", static_cast<int>(s.depth * 2), "", name.c_str(),
                         s.milliseconds, s.worst);
    }

private:
    struct Name {
        std::string text;
        uint32_t depth;
    };
    struct Frame {
        VkQueryPool pool = VK_NULL_HANDLE;
        std::vector<Name> names;
    };
    struct Ticks {
        uint64_t value;
        uint64_t available;
    };

    void close(VkCommandBuffer cmd, uint32_t index) {
        --depth_;
        vkCmdWriteTimestamp2(cmd, VK_PIPELINE_STAGE_2_BOTTOM_OF_PIPE_BIT, frames_[current_].pool, index * 2 + 1);
    }

    void readBack(const Frame& f) {
        if (f.names.empty()) return;
        const auto queries = static_cast<uint32_t>(f.names.size() * 2);
        std::vector<Ticks> ticks(queries);
        const VkResult r = vkGetQueryPoolResults(
            device_, f.pool, 0, queries, ticks.size() * sizeof(Ticks), ticks.data(), sizeof(Ticks),
            VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WITH_AVAILABILITY_BIT);
        if (r != VK_SUCCESS && r != VK_NOT_READY) return;

        for (size_t i = 0; i < f.names.size(); ++i) {
            const Ticks begin = ticks[i * 2], end = ticks[i * 2 + 1];
            if (!begin.available || !end.available) continue;
            // The counter may wrap; subtract first, mask afterwards.
            const uint64_t elapsed = (end.value - begin.value) & mask_;
            const double ms = static_cast<double>(elapsed) * nanosecondsPerTick_ * 1e-6;
            Statistic& s = stats_[f.names[i].text];
            s.depth = f.names[i].depth;
            s.milliseconds = s.samples++ == 0 ? ms : s.milliseconds * 0.95 + ms * 0.05;
            if (ms > s.worst) s.worst = ms;
        }
    }

    VkDevice device_;
    double nanosecondsPerTick_ = 1.0;
    uint64_t mask_ = 0;
    uint32_t current_ = 0;
    uint32_t depth_ = 0;
    std::array<Frame, kFrames> frames_{};
    std::map<std::string, Statistic> stats_;
};
