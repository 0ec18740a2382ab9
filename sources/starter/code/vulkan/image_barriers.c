/*
 * Tracks the layout of an image per mip level and records only the barriers
 * that are needed, plus mip chain generation built on top of that.
 *
 * A use is described by what the image is about to be used for; the table below
 * turns it into layout, pipeline stages and access flags, so call sites do not
 * repeat (and get wrong) the same six fields.
 */
#include <assert.h>
#include <stdint.h>
#include <vulkan/vulkan.h>

#define MAX_MIPS 16

typedef enum image_use {
    USE_NOTHING,        /* contents may be discarded */
    USE_TRANSFER_WRITE,
    USE_TRANSFER_READ,
    USE_SAMPLED,
    USE_STORAGE,
    USE_COLOR_TARGET,
    USE_DEPTH_TARGET,
    USE_PRESENT,
    USE_COUNT
} image_use;

typedef struct use_state {
    VkImageLayout layout;
    VkPipelineStageFlags2 stages;
    VkAccessFlags2 access;
    VkBool32 writes;
} use_state;

static const use_state states[USE_COUNT] = {
    [USE_NOTHING] = {VK_IMAGE_LAYOUT_UNDEFINED, VK_PIPELINE_STAGE_2_NONE, VK_ACCESS_2_NONE, VK_FALSE},
    [USE_TRANSFER_WRITE] = {VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
                            VK_ACCESS_2_TRANSFER_WRITE_BIT, VK_TRUE},
    [USE_TRANSFER_READ] = {VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
                           VK_ACCESS_2_TRANSFER_READ_BIT, VK_FALSE},
    [USE_SAMPLED] = {VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL,
                     VK_PIPELINE_STAGE_2_FRAGMENT_SHADER_BIT | VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT,
                     VK_ACCESS_2_SHADER_SAMPLED_READ_BIT, VK_FALSE},
    [USE_STORAGE] = {VK_IMAGE_LAYOUT_GENERAL, VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT,
                     VK_ACCESS_2_SHADER_STORAGE_READ_BIT | VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT, VK_TRUE},
    [USE_COLOR_TARGET] = {VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL, VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT,
                          VK_ACCESS_2_COLOR_ATTACHMENT_READ_BIT | VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT, VK_TRUE},
    [USE_DEPTH_TARGET] = {VK_IMAGE_LAYOUT_DEPTH_ATTACHMENT_OPTIMAL,
                          VK_PIPELINE_STAGE_2_EARLY_FRAGMENT_TESTS_BIT | VK_PIPELINE_STAGE_2_LATE_FRAGMENT_TESTS_BIT,
                          VK_ACCESS_2_DEPTH_STENCIL_ATTACHMENT_READ_BIT |
                              VK_ACCESS_2_DEPTH_STENCIL_ATTACHMENT_WRITE_BIT, VK_TRUE},
    [USE_PRESENT] = {VK_IMAGE_LAYOUT_PRESENT_SRC_KHR, VK_PIPELINE_STAGE_2_NONE, VK_ACCESS_2_NONE, VK_FALSE},
};

typedef struct tracked_image {
    VkImage image;
    VkImageAspectFlags aspect;
    VkExtent2D extent;
    uint32_t mips;
    image_use current[MAX_MIPS];
} tracked_image;

/* Read after read in the same layout is the one case that needs nothing. */
static VkBool32 barrier_needed(image_use from, image_use to)
{
    return from != to || states[from].writes;
}

void image_transition(VkCommandBuffer cmd, tracked_image *img, uint32_t first, uint32_t count, image_use to)
{
    VkImageMemoryBarrier2 barriers[MAX_MIPS];
    uint32_t n = 0;
    assert(first + count <= img->mips && img->mips <= MAX_MIPS);

    for (uint32_t mip = first; mip < first + count; ++mip) {
        const image_use from = img->current[mip];
        if (!barrier_needed(from, to))
            continue;
        img->current[mip] = to;

        /* Neighbouring levels that come from the same state share a barrier. */
        if (n > 0) {
            VkImageMemoryBarrier2 *last = &barriers[n - 1];
            const VkImageSubresourceRange *r = &last->subresourceRange;
            if (last->oldLayout == states[from].layout && last->srcStageMask == states[from].stages &&
                r->baseMipLevel + r->levelCount == mip) {
                last->subresourceRange.levelCount++;
                continue;
            }
        }
        barriers[n++] = (VkImageMemoryBarrier2){
            .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2,
            .srcStageMask = states[from].stages,
            /* Only writes have to be made available. */
            .srcAccessMask = states[from].writes ? states[from].access : VK_ACCESS_2_NONE,
            .dstStageMask = states[to].stages,
            .dstAccessMask = states[to].access,
            .oldLayout = states[from].layout,
            .newLayout = states[to].layout,
            .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
            .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
            .image = img->image,
            .subresourceRange = {img->aspect, mip, 1, 0, VK_REMAINING_ARRAY_LAYERS},
        };
    }
    if (n == 0)
        return;
    const VkDependencyInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
        .imageMemoryBarrierCount = n,
        .pImageMemoryBarriers = barriers,
    };
    vkCmdPipelineBarrier2(cmd, &info);
}

/* Level 0 must hold the picture; all levels end up ready for sampling. */
void image_generate_mips(VkCommandBuffer cmd, tracked_image *img)
{
    int32_t w = (int32_t)img->extent.width, h = (int32_t)img->extent.height;

    for (uint32_t mip = 1; mip < img->mips; ++mip) {
        const int32_t next_w = w > 1 ? w / 2 : 1;
        const int32_t next_h = h > 1 ? h / 2 : 1;
        image_transition(cmd, img, mip - 1, 1, USE_TRANSFER_READ);
        img->current[mip] = USE_NOTHING; /* previous contents are overwritten */
        image_transition(cmd, img, mip, 1, USE_TRANSFER_WRITE);

        const VkImageBlit region = {
            .srcSubresource = {img->aspect, mip - 1, 0, 1},
            .srcOffsets = {{0, 0, 0}, {w, h, 1}},
            .dstSubresource = {img->aspect, mip, 0, 1},
            .dstOffsets = {{0, 0, 0}, {next_w, next_h, 1}},
        };
        vkCmdBlitImage(cmd, img->image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
                       img->image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &region, VK_FILTER_LINEAR);
        w = next_w;
        h = next_h;
    }
    image_transition(cmd, img, 0, img->mips, USE_SAMPLED);
}
