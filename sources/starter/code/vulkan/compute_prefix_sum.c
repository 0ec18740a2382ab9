/*
 * Records an exclusive prefix sum over a storage buffer as three dispatches:
 *
 *   scan_blocks    each workgroup scans BLOCK elements, writes its total
 *   scan_totals    one workgroup scans the totals
 *   add_offsets    each workgroup adds its scanned total back
 *
 * All three entry points use the same push-constant block and bindings, so one
 * pipeline layout and one descriptor set serve the whole sequence.
 */
#include <assert.h>
#include <stdint.h>
#include <vulkan/vulkan.h>

#define BLOCK 1024u /* must match the specialization constant 0 in scan.comp */

typedef struct scan_push {
    uint32_t element_count;
    uint32_t block_count;
} scan_push;

typedef struct scan_kernels {
    VkDevice device;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline scan_blocks, scan_totals, add_offsets;
} scan_kernels;

static VkResult make_pipeline(scan_kernels *k, VkShaderModule module, const char *entry, VkPipeline *out)
{
    const uint32_t block = BLOCK;
    const VkSpecializationMapEntry map = {.constantID = 0, .offset = 0, .size = sizeof block};
    const VkSpecializationInfo constants = {
        .mapEntryCount = 1, .pMapEntries = &map, .dataSize = sizeof block, .pData = &block};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {
            .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
            .stage = VK_SHADER_STAGE_COMPUTE_BIT,
            .module = module,
            .pName = entry,
            .pSpecializationInfo = &constants,
        },
        .layout = k->layout,
    };
    return vkCreateComputePipelines(k->device, VK_NULL_HANDLE, 1, &info, NULL, out);
}

void scan_destroy(scan_kernels *k)
{
    /* Vulkan ignores VK_NULL_HANDLE, so a half-built object is fine here. */
    vkDestroyPipeline(k->device, k->scan_blocks, NULL);
    vkDestroyPipeline(k->device, k->scan_totals, NULL);
    vkDestroyPipeline(k->device, k->add_offsets, NULL);
    vkDestroyPipelineLayout(k->device, k->layout, NULL);
    vkDestroyDescriptorSetLayout(k->device, k->set_layout, NULL);
}

VkResult scan_create(VkDevice device, const uint32_t *spirv, size_t bytes, scan_kernels *k)
{
    *k = (scan_kernels){.device = device};
    const VkDescriptorSetLayoutBinding bindings[] = {
        {0, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL}, /* data, in place */
        {1, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL}, /* block totals */
    };
    const VkDescriptorSetLayoutCreateInfo set_info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = 2, .pBindings = bindings};
    const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(scan_push)};
    VkShaderModule module = VK_NULL_HANDLE;

    VkResult r = vkCreateDescriptorSetLayout(device, &set_info, NULL, &k->set_layout);
    if (r == VK_SUCCESS) {
        const VkPipelineLayoutCreateInfo info = {
            .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
            .setLayoutCount = 1, .pSetLayouts = &k->set_layout,
            .pushConstantRangeCount = 1, .pPushConstantRanges = &range,
        };
        r = vkCreatePipelineLayout(device, &info, NULL, &k->layout);
    }
    if (r == VK_SUCCESS) {
        const VkShaderModuleCreateInfo info = {
            .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = bytes, .pCode = spirv};
        r = vkCreateShaderModule(device, &info, NULL, &module);
    }
    if (r == VK_SUCCESS)
        r = make_pipeline(k, module, "scan_blocks", &k->scan_blocks);
    if (r == VK_SUCCESS)
        r = make_pipeline(k, module, "scan_totals", &k->scan_totals);
    if (r == VK_SUCCESS)
        r = make_pipeline(k, module, "add_offsets", &k->add_offsets);

    vkDestroyShaderModule(device, module, NULL); /* pipelines keep what they need */
    if (r != VK_SUCCESS)
        scan_destroy(k);
    return r;
}

static void compute_to_compute(VkCommandBuffer cmd)
{
    const VkMemoryBarrier2 barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT,
        .srcAccessMask = VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT,
        .dstStageMask = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT,
        .dstAccessMask = VK_ACCESS_2_SHADER_STORAGE_READ_BIT | VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT,
    };
    const VkDependencyInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO, .memoryBarrierCount = 1, .pMemoryBarriers = &barrier};
    vkCmdPipelineBarrier2(cmd, &info);
}

/* Two levels of BLOCK elements each: about one million values at most. */
void scan_record(const scan_kernels *k, VkCommandBuffer cmd, VkDescriptorSet set, uint32_t element_count)
{
    const scan_push push = {element_count, (element_count + BLOCK - 1) / BLOCK};
    assert(element_count > 0 && push.block_count <= BLOCK);

    vkCmdBindDescriptorSets(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, k->layout, 0, 1, &set, 0, NULL);
    vkCmdPushConstants(cmd, k->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, &push);

    vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, k->scan_blocks);
    vkCmdDispatch(cmd, push.block_count, 1, 1);
    if (push.block_count == 1)
        return; /* a single block needs no second level */

    compute_to_compute(cmd);
    vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, k->scan_totals);
    vkCmdDispatch(cmd, 1, 1, 1);

    compute_to_compute(cmd);
    vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, k->add_offsets);
    vkCmdDispatch(cmd, push.block_count, 1, 1);
}
