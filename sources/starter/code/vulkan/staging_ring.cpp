// Uploads through a persistently mapped ring buffer on the transfer queue.
//
// push() copies bytes into the ring and remembers the copy; submit() records all
// of them in one command buffer. Space comes back when the timeline semaphore
// passes the value of the batch that used it. Buffers are handed to the graphics
// family with a release/acquire pair when the two families differ.
#include <vulkan/vulkan.h>

#include <cstddef>
#include <cstring>
#include <deque>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

struct UploadQueues {
    VkQueue transfer;
    uint32_t transferFamily;
    uint32_t graphicsFamily;
};

class StagingRing {
public:
    // `buffer` is host visible and coherent, mapped at `mapped`; capacity is a multiple of 32.
    StagingRing(VkDevice device, UploadQueues queues, VkBuffer buffer, std::byte* mapped, VkDeviceSize capacity)
        : device_(device), queues_(queues), ring_(buffer), mapped_(mapped), capacity_(capacity) {
        VkSemaphoreTypeCreateInfo kind{VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO};
        kind.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
        VkSemaphoreCreateInfo info{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &kind, 0};
        check(vkCreateSemaphore(device_, &info, nullptr, &timeline_));

        VkCommandPoolCreateInfo pool{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
        pool.queueFamilyIndex = queues_.transferFamily;
        check(vkCreateCommandPool(device_, &pool, nullptr, &pool_));
    }

    ~StagingRing() {
        waitFor(submitted_);
        vkDestroyCommandPool(device_, pool_, nullptr);
        vkDestroySemaphore(device_, timeline_, nullptr);
    }

    StagingRing(const StagingRing&) = delete;

    void push(VkBuffer target, VkDeviceSize targetOffset, std::span<const std::byte> bytes) {
        if (bytes.size() > capacity_ / 2) throw std::length_error("upload larger than half the ring; split it");
        const VkDeviceSize at = reserve(bytes.size());
        std::memcpy(mapped_ + at % capacity_, bytes.data(), bytes.size());
        copies_.push_back({target, {at % capacity_, targetOffset, bytes.size()}});
    }

    // Returns the timeline value that means "these uploads are visible".
    uint64_t submit() {
        if (copies_.empty()) return submitted_;
        VkCommandBuffer cmd = commandBuffer();
        const VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO, nullptr,
                                             VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT, nullptr};
        check(vkBeginCommandBuffer(cmd, &begin));
        std::vector<VkBufferMemoryBarrier2> releases;
        for (const Copy& c : copies_) {
            vkCmdCopyBuffer(cmd, ring_, c.target, 1, &c.region);
            if (queues_.transferFamily == queues_.graphicsFamily) continue;
            releases.push_back(ownership(c, VK_PIPELINE_STAGE_2_COPY_BIT, VK_ACCESS_2_TRANSFER_WRITE_BIT, 0, 0));
            acquires_.push_back(ownership(c, 0, 0, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, VK_ACCESS_2_MEMORY_READ_BIT));
        }
        barrier(cmd, releases);
        check(vkEndCommandBuffer(cmd));

        VkSemaphoreSubmitInfo signal{VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO};
        signal.semaphore = timeline_;
        signal.value = ++submitted_;
        signal.stageMask = VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT;
        VkCommandBufferSubmitInfo work{VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO, nullptr, cmd, 0};
        VkSubmitInfo2 info{VK_STRUCTURE_TYPE_SUBMIT_INFO_2};
        info.commandBufferInfoCount = info.signalSemaphoreInfoCount = 1;
        info.pCommandBufferInfos = &work;
        info.pSignalSemaphoreInfos = &signal;
        check(vkQueueSubmit2(queues_.transfer, 1, &info, VK_NULL_HANDLE));

        batches_.push_back({submitted_, head_, cmd});
        copies_.clear();
        return submitted_;
    }

    // Second half of the ownership transfer, on the graphics queue. That submit
    // must wait for the value returned by submit().
    void acquireOnGraphics(VkCommandBuffer cmd) {
        barrier(cmd, acquires_);
        acquires_.clear();
    }

private:
    struct Copy { VkBuffer target; VkBufferCopy region; };
    struct Batch { uint64_t value; VkDeviceSize end; VkCommandBuffer cmd; };
    static void check(VkResult r) { if (r < 0) throw std::runtime_error("upload failed"); }

    static void barrier(VkCommandBuffer cmd, const std::vector<VkBufferMemoryBarrier2>& list) {
        VkDependencyInfo info{VK_STRUCTURE_TYPE_DEPENDENCY_INFO};
        info.bufferMemoryBarrierCount = static_cast<uint32_t>(list.size());
        info.pBufferMemoryBarriers = list.data();
        if (!list.empty()) vkCmdPipelineBarrier2(cmd, &info);
    }

    // head_ and tail_ only ever grow; the position in the ring is taken modulo.
    VkDeviceSize reserve(VkDeviceSize bytes) {
        head_ = (head_ + 15) & ~VkDeviceSize{15};
        if (head_ % capacity_ + bytes > capacity_) head_ += capacity_ - head_ % capacity_;  // do not wrap a copy
        while (head_ + bytes - tail_ > capacity_) {
            if (batches_.empty()) submit();
            const Batch& oldest = batches_.front();
            waitFor(oldest.value);
            tail_ = oldest.end;
            vkFreeCommandBuffers(device_, pool_, 1, &oldest.cmd);
            batches_.pop_front();
        }
        return std::exchange(head_, head_ + bytes);
    }

    VkCommandBuffer commandBuffer() {
        VkCommandBuffer cmd = VK_NULL_HANDLE;
        VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, nullptr, pool_,
                                         VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1};
        check(vkAllocateCommandBuffers(device_, &info, &cmd));
        return cmd;
    }

    VkBufferMemoryBarrier2 ownership(const Copy& c, VkPipelineStageFlags2 srcStage, VkAccessFlags2 srcAccess,
                                     VkPipelineStageFlags2 dstStage, VkAccessFlags2 dstAccess) const {
        return {VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER_2, nullptr, srcStage, srcAccess, dstStage, dstAccess,
                queues_.transferFamily, queues_.graphicsFamily, c.target, c.region.dstOffset, c.region.size};
    }

    void waitFor(uint64_t value) const {
        VkSemaphoreWaitInfo info{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO, nullptr, 0, 1, &timeline_, &value};
        check(vkWaitSemaphores(device_, &info, UINT64_MAX));
    }

    VkDevice device_;
    UploadQueues queues_;
    VkBuffer ring_;
    std::byte* mapped_;
    VkDeviceSize capacity_, head_ = 0, tail_ = 0;
    VkSemaphore timeline_ = VK_NULL_HANDLE;
    VkCommandPool pool_ = VK_NULL_HANDLE;
    uint64_t submitted_ = 0;
    std::vector<Copy> copies_;
    std::deque<Batch> batches_;
    std::vector<VkBufferMemoryBarrier2> acquires_;
};
