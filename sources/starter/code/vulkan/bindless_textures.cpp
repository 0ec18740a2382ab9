// One descriptor set with a large, partially bound array of sampled images.
// Shaders index it with the integer that add() returned (nonuniformEXT), so no
// descriptor set is ever rebound between draws.
#include <vulkan/vulkan.h>

#include <cassert>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <vector>

class BindlessTextures {
public:
    BindlessTextures(VkDevice device, uint32_t capacity, uint32_t framesInFlight)
        : device_(device), capacity_(capacity), framesInFlight_(framesInFlight) {
        createLayout();
        createPool();
        createSamplerAndSet();
    }

    ~BindlessTextures() {
        vkDestroySampler(device_, sampler_, nullptr);
        vkDestroyDescriptorPool(device_, pool_, nullptr);  // frees the set with it
        vkDestroyDescriptorSetLayout(device_, layout_, nullptr);
    }

    BindlessTextures(const BindlessTextures&) = delete;
    VkDescriptorSetLayout layout() const { return layout_; }
    VkDescriptorSet set() const { return set_; }
    // The write is queued and reaches the GPU-visible set in flush().
    uint32_t add(VkImageView view) {
        uint32_t slot = 0;
        if (free_.empty()) {
            if (next_ == capacity_) throw std::length_error("bindless table is full");
            slot = next_++;
        } else {
            slot = free_.back();
            free_.pop_back();
        }
        pending_.push_back({slot, view});
        return slot;
    }

    // Submitted frames may still sample the slot: it is reusable once they retire.
    void remove(uint32_t slot) {
        assert(slot < next_);
        retired_.push_back({slot, frame_ + framesInFlight_});
    }

    void flush() {  // once per frame, before recording
        ++frame_;
        while (!retired_.empty() && retired_.front().reusableAt <= frame_) {
            free_.push_back(retired_.front().slot);
            retired_.pop_front();
        }
        if (pending_.empty()) return;

        std::vector<VkDescriptorImageInfo> images(pending_.size());
        std::vector<VkWriteDescriptorSet> writes(pending_.size());
        for (size_t i = 0; i < pending_.size(); ++i) {
            images[i] = {VK_NULL_HANDLE, pending_[i].view, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL};
            writes[i] = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET};
            writes[i].dstSet = set_;
            writes[i].dstBinding = kImages;
            writes[i].dstArrayElement = pending_[i].slot;
            writes[i].descriptorCount = 1;
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_SAMPLED_IMAGE;
            writes[i].pImageInfo = &images[i];
        }
        vkUpdateDescriptorSets(device_, static_cast<uint32_t>(writes.size()), writes.data(), 0, nullptr);
        pending_.clear();
    }

private:
    enum Binding : uint32_t { kSampler, kImages };
    struct Pending { uint32_t slot; VkImageView view; };
    struct Retired { uint32_t slot; uint64_t reusableAt; };

    static void check(VkResult r, const char* what) {
        if (r != VK_SUCCESS) throw std::runtime_error(what);
    }

    void createLayout() {
        VkDescriptorSetLayoutBinding bindings[2]{};
        bindings[0] = {kSampler, VK_DESCRIPTOR_TYPE_SAMPLER, 1, VK_SHADER_STAGE_FRAGMENT_BIT, nullptr};
        bindings[1] = {kImages, VK_DESCRIPTOR_TYPE_SAMPLED_IMAGE, capacity_, VK_SHADER_STAGE_FRAGMENT_BIT, nullptr};

        // Only the last binding may have a variable count.
        const VkDescriptorBindingFlags flags[2] = {
            0, VK_DESCRIPTOR_BINDING_PARTIALLY_BOUND_BIT | VK_DESCRIPTOR_BINDING_UPDATE_AFTER_BIND_BIT |
                   VK_DESCRIPTOR_BINDING_UPDATE_UNUSED_WHILE_PENDING_BIT |
                   VK_DESCRIPTOR_BINDING_VARIABLE_DESCRIPTOR_COUNT_BIT};
        VkDescriptorSetLayoutBindingFlagsCreateInfo flagInfo{
            VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_BINDING_FLAGS_CREATE_INFO};
        flagInfo.bindingCount = 2;
        flagInfo.pBindingFlags = flags;

        VkDescriptorSetLayoutCreateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, &flagInfo};
        info.flags = VK_DESCRIPTOR_SET_LAYOUT_CREATE_UPDATE_AFTER_BIND_POOL_BIT;
        info.bindingCount = 2;
        info.pBindings = bindings;
        check(vkCreateDescriptorSetLayout(device_, &info, nullptr, &layout_), "descriptor set layout");
    }

    void createPool() {
        const VkDescriptorPoolSize sizes[] = {{VK_DESCRIPTOR_TYPE_SAMPLER, 1},
                                              {VK_DESCRIPTOR_TYPE_SAMPLED_IMAGE, capacity_}};
        VkDescriptorPoolCreateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO};
        info.flags = VK_DESCRIPTOR_POOL_CREATE_UPDATE_AFTER_BIND_BIT;
        info.maxSets = 1;
        info.poolSizeCount = 2;
        info.pPoolSizes = sizes;
        check(vkCreateDescriptorPool(device_, &info, nullptr, &pool_), "descriptor pool");
    }

    void createSamplerAndSet() {
        VkSamplerCreateInfo info{VK_STRUCTURE_TYPE_SAMPLER_CREATE_INFO};
        info.magFilter = info.minFilter = VK_FILTER_LINEAR;
        info.mipmapMode = VK_SAMPLER_MIPMAP_MODE_LINEAR;
        info.maxLod = VK_LOD_CLAMP_NONE;
        check(vkCreateSampler(device_, &info, nullptr, &sampler_), "sampler");

        VkDescriptorSetVariableDescriptorCountAllocateInfo variable{
            VK_STRUCTURE_TYPE_DESCRIPTOR_SET_VARIABLE_DESCRIPTOR_COUNT_ALLOCATE_INFO};
        variable.descriptorSetCount = 1;
        variable.pDescriptorCounts = &capacity_;
        VkDescriptorSetAllocateInfo alloc{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, &variable, pool_, 1, &layout_};
        check(vkAllocateDescriptorSets(device_, &alloc, &set_), "descriptor set");

        VkDescriptorImageInfo sampler{sampler_, VK_NULL_HANDLE, VK_IMAGE_LAYOUT_UNDEFINED};
        VkWriteDescriptorSet write{VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET};
        write.dstSet = set_;
        write.dstBinding = kSampler;
        write.descriptorCount = 1;
        write.descriptorType = VK_DESCRIPTOR_TYPE_SAMPLER;
        write.pImageInfo = &sampler;
        vkUpdateDescriptorSets(device_, 1, &write, 0, nullptr);
    }

    VkDevice device_;
    uint32_t capacity_, framesInFlight_, next_ = 0;
    uint64_t frame_ = 0;
    VkDescriptorSetLayout layout_ = VK_NULL_HANDLE;
    VkDescriptorPool pool_ = VK_NULL_HANDLE;
    VkDescriptorSet set_ = VK_NULL_HANDLE;
    VkSampler sampler_ = VK_NULL_HANDLE;
    std::vector<uint32_t> free_;
    std::vector<Pending> pending_;
    std::deque<Retired> retired_;
};
