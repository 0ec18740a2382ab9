// Frame pacing with one timeline semaphore instead of a fence per frame.
//
// The CPU may run at most kInFlight frames ahead. Value N on the timeline means
// "frame N is complete", which also drives deferred destruction: an object that
// was last used in frame N is destroyed when the counter has reached N.
#include <vulkan/vulkan.h>

#include <array>
#include <cstdint>
#include <functional>
#include <queue>
#include <stdexcept>
#include <utility>

class FrameSync {
public:
    static constexpr uint32_t kInFlight = 2;

    struct Frame {
        VkCommandBuffer cmd = VK_NULL_HANDLE;
        VkSemaphore imageReady = VK_NULL_HANDLE;  // binary: WSI cannot use timelines
        VkSemaphore renderDone = VK_NULL_HANDLE;
        uint64_t number = 0;
    };

    FrameSync(VkDevice device, uint32_t queueFamily) : device_(device) {
        VkSemaphoreTypeCreateInfo kind{VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO};
        kind.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
        kind.initialValue = 0;
        VkSemaphoreCreateInfo timelineInfo{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &kind, 0};
        check(vkCreateSemaphore(device_, &timelineInfo, nullptr, &timeline_));

        for (Slot& slot : slots_) {
            VkCommandPoolCreateInfo pool{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
            pool.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT;
            pool.queueFamilyIndex = queueFamily;
            check(vkCreateCommandPool(device_, &pool, nullptr, &slot.pool));

            VkCommandBufferAllocateInfo cmd{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
            cmd.commandPool = slot.pool;
            cmd.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
            cmd.commandBufferCount = 1;
            check(vkAllocateCommandBuffers(device_, &cmd, &slot.frame.cmd));

            VkSemaphoreCreateInfo binary{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
            check(vkCreateSemaphore(device_, &binary, nullptr, &slot.frame.imageReady));
            check(vkCreateSemaphore(device_, &binary, nullptr, &slot.frame.renderDone));
        }
    }

    ~FrameSync() {
        if (next_ > 1) waitFor(next_ - 1);
        collect();
        for (Slot& slot : slots_) {
            vkDestroySemaphore(device_, slot.frame.imageReady, nullptr);
            vkDestroySemaphore(device_, slot.frame.renderDone, nullptr);
            vkDestroyCommandPool(device_, slot.pool, nullptr);
        }
        vkDestroySemaphore(device_, timeline_, nullptr);
    }

    FrameSync(const FrameSync&) = delete;
    FrameSync& operator=(const FrameSync&) = delete;

    // Blocks until the slot's previous frame is done, then starts recording.
    Frame begin() {
        if (next_ > kInFlight) waitFor(next_ - kInFlight);
        collect();

        Slot& slot = slots_[next_ % kInFlight];
        slot.frame.number = next_++;
        check(vkResetCommandPool(device_, slot.pool, 0));
        VkCommandBufferBeginInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
        info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
        check(vkBeginCommandBuffer(slot.frame.cmd, &info));
        return slot.frame;
    }

    void submit(VkQueue queue, const Frame& frame) {
        check(vkEndCommandBuffer(frame.cmd));

        // Vertex work may start before the swapchain image has been acquired;
        // only the colour output has to wait for it.
        const VkSemaphoreSubmitInfo wait =
            semaphore(frame.imageReady, 0, VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT);
        const std::array signals{
            semaphore(frame.renderDone, 0, VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT),
            semaphore(timeline_, frame.number, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT),
        };
        VkCommandBufferSubmitInfo cmd{VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO};
        cmd.commandBuffer = frame.cmd;

        VkSubmitInfo2 info{VK_STRUCTURE_TYPE_SUBMIT_INFO_2};
        info.waitSemaphoreInfoCount = 1;
        info.pWaitSemaphoreInfos = &wait;
        info.commandBufferInfoCount = 1;
        info.pCommandBufferInfos = &cmd;
        info.signalSemaphoreInfoCount = static_cast<uint32_t>(signals.size());
        info.pSignalSemaphoreInfos = signals.data();
        check(vkQueueSubmit2(queue, 1, &info, VK_NULL_HANDLE));
    }

    // Runs `destroy` once the GPU cannot be using the object any more.
    void defer(std::function<void(VkDevice)> destroy) { garbage_.emplace(next_ - 1, std::move(destroy)); }

private:
    struct Slot {
        VkCommandPool pool = VK_NULL_HANDLE;
        Frame frame;
    };

    static void check(VkResult r) {
        if (r == VK_ERROR_DEVICE_LOST) throw std::runtime_error("device lost");
        if (r < 0) throw std::runtime_error("Vulkan call failed");
    }

    static VkSemaphoreSubmitInfo semaphore(VkSemaphore s, uint64_t value, VkPipelineStageFlags2 stage) {
        VkSemaphoreSubmitInfo info{VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO};
        info.semaphore = s;
        info.value = value;  // ignored for binary semaphores
        info.stageMask = stage;
        return info;
    }

    void waitFor(uint64_t value) const {
        VkSemaphoreWaitInfo info{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO};
        info.semaphoreCount = 1;
        info.pSemaphores = &timeline_;
        info.pValues = &value;
        check(vkWaitSemaphores(device_, &info, UINT64_MAX));
    }

    void collect() {
        uint64_t done = 0;
        check(vkGetSemaphoreCounterValue(device_, timeline_, &done));
        for (; !garbage_.empty() && garbage_.front().first <= done; garbage_.pop()) garbage_.front().second(device_);
    }

    VkDevice device_;
    VkSemaphore timeline_ = VK_NULL_HANDLE;
    std::array<Slot, kInFlight> slots_{};
    uint64_t next_ = 1;
    std::queue<std::pair<uint64_t, std::function<void(VkDevice)>>> garbage_;
};
