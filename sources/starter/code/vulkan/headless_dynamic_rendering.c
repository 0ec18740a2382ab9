/*
 * Draws one frame into an offscreen image with dynamic rendering (no VkRenderPass,
 * no VkFramebuffer), resolves 4x MSAA, and copies the result into a host-visible
 * buffer that the golden-image tests compare with a file.
 */
#include <stdint.h>
#include <vulkan/vulkan.h>

typedef struct offscreen_target {
    VkImage msaa, resolved, depth;
    VkImageView msaa_view, resolved_view, depth_view;
    VkExtent2D extent;
    VkFormat color_format, depth_format;
    VkBuffer readback; /* extent.width * extent.height * 4 bytes */
} offscreen_target;

typedef struct draw_item {
    VkPipeline pipeline;
    VkPipelineLayout layout;
    VkBuffer vertices, indices;
    uint32_t index_count;
    float transform[16];
} draw_item;

/* Chained into VkGraphicsPipelineCreateInfo.pNext instead of naming a pass. */
VkPipelineRenderingCreateInfo pipeline_rendering_info(const offscreen_target *t)
{
    return (VkPipelineRenderingCreateInfo){
        .sType = VK_STRUCTURE_TYPE_PIPELINE_RENDERING_CREATE_INFO,
        .colorAttachmentCount = 1,
        .pColorAttachmentFormats = &t->color_format,
        .depthAttachmentFormat = t->depth_format,
    };
}

static VkImageMemoryBarrier2 from_undefined(VkImage image, VkImageAspectFlags aspect, VkImageLayout to,
                                            VkPipelineStageFlags2 stage, VkAccessFlags2 access)
{
    return (VkImageMemoryBarrier2){
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2,
        .srcStageMask = stage, /* orders against the previous frame's use */
        .dstStageMask = stage,
        .dstAccessMask = access,
        .oldLayout = VK_IMAGE_LAYOUT_UNDEFINED,
        .newLayout = to,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = image,
        .subresourceRange = {aspect, 0, 1, 0, 1},
    };
}

static void record_draws(VkCommandBuffer cmd, const offscreen_target *t, const draw_item *items, uint32_t count)
{
    const VkViewport viewport = {0.0f, (float)t->extent.height, (float)t->extent.width, -(float)t->extent.height,
                                 0.0f, 1.0f}; /* negative height: Y points up */
    const VkRect2D scissor = {{0, 0}, t->extent};
    vkCmdSetViewport(cmd, 0, 1, &viewport);
    vkCmdSetScissor(cmd, 0, 1, &scissor);

    VkPipeline bound = VK_NULL_HANDLE;
    for (uint32_t i = 0; i < count; ++i) {
        const draw_item *d = &items[i];
        const VkDeviceSize offset = 0;
        if (d->pipeline != bound) {
            vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_GRAPHICS, bound = d->pipeline);
        }
        vkCmdBindVertexBuffers(cmd, 0, 1, &d->vertices, &offset);
        vkCmdBindIndexBuffer(cmd, d->indices, 0, VK_INDEX_TYPE_UINT32);
        vkCmdPushConstants(cmd, d->layout, VK_SHADER_STAGE_VERTEX_BIT, 0, sizeof d->transform, d->transform);
        vkCmdDrawIndexed(cmd, d->index_count, 1, 0, 0, 0);
    }
}

void record_offscreen_frame(VkCommandBuffer cmd, const offscreen_target *t, const draw_item *items, uint32_t count)
{
    const VkPipelineStageFlags2 color_stage = VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT;
    const VkPipelineStageFlags2 depth_stage =
        VK_PIPELINE_STAGE_2_EARLY_FRAGMENT_TESTS_BIT | VK_PIPELINE_STAGE_2_LATE_FRAGMENT_TESTS_BIT;
    const VkImageMemoryBarrier2 before[] = {
        from_undefined(t->msaa, VK_IMAGE_ASPECT_COLOR_BIT, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL, color_stage,
                       VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT),
        from_undefined(t->resolved, VK_IMAGE_ASPECT_COLOR_BIT, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL, color_stage,
                       VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT),
        from_undefined(t->depth, VK_IMAGE_ASPECT_DEPTH_BIT, VK_IMAGE_LAYOUT_DEPTH_ATTACHMENT_OPTIMAL, depth_stage,
                       VK_ACCESS_2_DEPTH_STENCIL_ATTACHMENT_WRITE_BIT),
    };
    VkDependencyInfo dependency = {.sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
                                   .imageMemoryBarrierCount = 3, .pImageMemoryBarriers = before};
    vkCmdPipelineBarrier2(cmd, &dependency);

    const VkRenderingAttachmentInfo color = {
        .sType = VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO,
        .imageView = t->msaa_view,
        .imageLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
        .resolveMode = VK_RESOLVE_MODE_AVERAGE_BIT,
        .resolveImageView = t->resolved_view,
        .resolveImageLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
        .loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR,
        .storeOp = VK_ATTACHMENT_STORE_OP_DONT_CARE, /* only the resolve is kept */
        .clearValue.color.float32 = {0.2f, 0.2f, 0.2f, 1.0f},
    };
    const VkRenderingAttachmentInfo depth = {
        .sType = VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO,
        .imageView = t->depth_view,
        .imageLayout = VK_IMAGE_LAYOUT_DEPTH_ATTACHMENT_OPTIMAL,
        .loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR,
        .storeOp = VK_ATTACHMENT_STORE_OP_DONT_CARE,
        .clearValue.depthStencil = {1.0f, 0},
    };
    const VkRenderingInfo rendering = {
        .sType = VK_STRUCTURE_TYPE_RENDERING_INFO,
        .renderArea = {{0, 0}, t->extent},
        .layerCount = 1,
        .colorAttachmentCount = 1,
        .pColorAttachments = &color,
        .pDepthAttachment = &depth,
    };
    vkCmdBeginRendering(cmd, &rendering);
    record_draws(cmd, t, items, count);
    vkCmdEndRendering(cmd);

    VkImageMemoryBarrier2 to_copy = before[1];
    to_copy.srcStageMask = color_stage;
    to_copy.srcAccessMask = VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT;
    to_copy.dstStageMask = VK_PIPELINE_STAGE_2_COPY_BIT;
    to_copy.dstAccessMask = VK_ACCESS_2_TRANSFER_READ_BIT;
    to_copy.oldLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL;
    to_copy.newLayout = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    dependency.imageMemoryBarrierCount = 1;
    dependency.pImageMemoryBarriers = &to_copy;
    vkCmdPipelineBarrier2(cmd, &dependency);

    const VkBufferImageCopy region = {
        .imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
        .imageExtent = {t->extent.width, t->extent.height, 1},
    };
    vkCmdCopyImageToBuffer(cmd, t->resolved, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, t->readback, 1, &region);

    /* The fence alone does not make the copy visible to the mapped pointer. */
    const VkMemoryBarrier2 to_host = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask = VK_PIPELINE_STAGE_2_COPY_BIT,
        .srcAccessMask = VK_ACCESS_2_TRANSFER_WRITE_BIT,
        .dstStageMask = VK_PIPELINE_STAGE_2_HOST_BIT,
        .dstAccessMask = VK_ACCESS_2_HOST_READ_BIT};
    dependency = (VkDependencyInfo){
        .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO, .memoryBarrierCount = 1, .pMemoryBarriers = &to_host};
    vkCmdPipelineBarrier2(cmd, &dependency);
}
