// A small GPU memory allocator: large VkDeviceMemory blocks per memory type,
// cut up with a free list kept in address order and merged on release.
//
// It exists because drivers cap the number of live allocations (often at 4096)
// and because vkAllocateMemory is slow. Linear and optimal resources never share
// a block, which sidesteps bufferImageGranularity entirely.
#include <vulkan/vulkan.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

enum class Tiling { Linear, Optimal };

struct MemoryBlock {
    VkDeviceMemory memory = VK_NULL_HANDLE;
    VkDeviceSize size = 0;
    void* mapped = nullptr;  // host-visible blocks stay mapped for life
    uint32_t type = 0;
    Tiling tiling = Tiling::Linear;
    std::map<VkDeviceSize, VkDeviceSize> holes;  // offset -> length

    bool unused() const { return holes.size() == 1 && holes.begin()->second == size; }
};

struct Allocation {
    MemoryBlock* block = nullptr;
    VkDeviceSize offset = 0;
    VkDeviceSize size = 0;

    void* data() const { return block->mapped ? static_cast<char*>(block->mapped) + offset : nullptr; }
};

class Suballocator {
public:
    Suballocator(VkPhysicalDevice gpu, VkDevice device, VkDeviceSize blockSize = VkDeviceSize{64} << 20)
        : device_(device), blockSize_(blockSize) {
        vkGetPhysicalDeviceMemoryProperties(gpu, &props_);
    }

    ~Suballocator() {
        for (auto& block : blocks_) vkFreeMemory(device_, block->memory, nullptr);
    }

    Allocation allocate(const VkMemoryRequirements& need, VkMemoryPropertyFlags required,
                        VkMemoryPropertyFlags preferred, Tiling tiling) {
        std::scoped_lock lock(mutex_);
        const uint32_t type = chooseType(need.memoryTypeBits, required, preferred);
        for (auto& block : blocks_) {
            if (block->type != type || block->tiling != tiling) continue;
            if (Allocation a; carve(*block, need, a)) return a;
        }
        Allocation a;
        if (!carve(grow(type, tiling, std::max(need.size, blockSize_)), need, a)) throw std::bad_alloc();
        return a;
    }

    void release(const Allocation& a) {
        std::scoped_lock lock(mutex_);
        auto& holes = a.block->holes;
        auto [hole, inserted] = holes.emplace(a.offset, a.size);
        if (!inserted) throw std::logic_error("double free");

        if (auto after = std::next(hole); after != holes.end() && hole->first + hole->second == after->first) {
            hole->second += after->second;
            holes.erase(after);
        }
        if (hole != holes.begin()) {
            if (auto before = std::prev(hole); before->first + before->second == hole->first) {
                before->second += hole->second;
                holes.erase(hole);
            }
        }
        trim(*a.block);
    }

private:
    // Best fit: the smallest hole that still holds the aligned request.
    static bool carve(MemoryBlock& block, const VkMemoryRequirements& need, Allocation& out) {
        auto best = block.holes.end();
        VkDeviceSize bestOffset = 0;
        for (auto it = block.holes.begin(); it != block.holes.end(); ++it) {
            const VkDeviceSize aligned = (it->first + need.alignment - 1) & ~(need.alignment - 1);
            const bool fits = aligned + need.size <= it->first + it->second;
            if (fits && (best == block.holes.end() || it->second < best->second)) {
                best = it;
                bestOffset = aligned;
            }
        }
        if (best == block.holes.end()) return false;

        const VkDeviceSize holeStart = best->first;
        const VkDeviceSize holeEnd = best->first + best->second;
        block.holes.erase(best);
        if (bestOffset > holeStart) block.holes.emplace(holeStart, bestOffset - holeStart);
        if (bestOffset + need.size < holeEnd)
            block.holes.emplace(bestOffset + need.size, holeEnd - bestOffset - need.size);
        out = {&block, bestOffset, need.size};
        return true;
    }

    MemoryBlock& grow(uint32_t type, Tiling tiling, VkDeviceSize size) {
        auto block = std::make_unique<MemoryBlock>();
        VkMemoryAllocateInfo info{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
        info.allocationSize = size;
        info.memoryTypeIndex = type;
        if (vkAllocateMemory(device_, &info, nullptr, &block->memory) != VK_SUCCESS) throw std::bad_alloc();
        if (props_.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)
            vkMapMemory(device_, block->memory, 0, VK_WHOLE_SIZE, 0, &block->mapped);
        block->size = size;
        block->type = type;
        block->tiling = tiling;
        block->holes.emplace(0, size);
        return *blocks_.emplace_back(std::move(block));
    }

    // Keep one empty block per kind around so that a load/unload cycle does not
    // go back to the driver every time.
    void trim(const MemoryBlock& candidate) {
        if (!candidate.unused()) return;
        const auto sameKind = [&](const auto& b) {
            return b->unused() && b->type == candidate.type && b->tiling == candidate.tiling;
        };
        if (std::count_if(blocks_.begin(), blocks_.end(), sameKind) < 2) return;
        const auto it = std::find_if(blocks_.begin(), blocks_.end(),
                                     [&](const auto& b) { return b.get() == &candidate; });
        vkFreeMemory(device_, (*it)->memory, nullptr);
        blocks_.erase(it);
    }

    uint32_t chooseType(uint32_t allowed, VkMemoryPropertyFlags required, VkMemoryPropertyFlags preferred) const {
        for (VkMemoryPropertyFlags wanted : {required | preferred, required})
            for (uint32_t i = 0; i < props_.memoryTypeCount; ++i)
                if ((allowed >> i & 1u) && (props_.memoryTypes[i].propertyFlags & wanted) == wanted) return i;
        throw std::runtime_error("no memory type fits the request");
    }

    VkDevice device_;
    VkDeviceSize blockSize_;
    VkPhysicalDeviceMemoryProperties props_{};
    std::vector<std::unique_ptr<MemoryBlock>> blocks_;
    std::mutex mutex_;
};
