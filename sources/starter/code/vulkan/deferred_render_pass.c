/*
 * A classic VkRenderPass with two subpasses for tile-based GPUs.
 *
 *   subpass 0  geometry   writes albedo, normals and depth
 *   subpass 1  lighting   reads all three as input attachments, writes colour
 *
 * The G-buffer attachments are TRANSIENT with storeOp DONT_CARE, so on a tiler
 * they never leave on-chip memory; lazily allocated memory backs them.
 */
#include <stddef.h>
#include <stdint.h>
#include <vulkan/vulkan.h>

enum attachment_slot { SLOT_COLOR, SLOT_ALBEDO, SLOT_NORMAL, SLOT_DEPTH, SLOT_COUNT };
enum subpass_slot { SUBPASS_GEOMETRY, SUBPASS_LIGHTING, SUBPASS_COUNT };

typedef struct deferred_formats {
    VkFormat swapchain;
    VkFormat albedo; /* VK_FORMAT_R8G8B8A8_UNORM is enough */
    VkFormat normal; /* VK_FORMAT_A2B10G10R10_UNORM_PACK32, octahedral */
    VkFormat depth;
} deferred_formats;

static VkAttachmentDescription attachment(VkFormat format, VkAttachmentStoreOp store, VkImageLayout final)
{
    return (VkAttachmentDescription){
        .format = format,
        .samples = VK_SAMPLE_COUNT_1_BIT,
        .loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR,
        .storeOp = store,
        .stencilLoadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE,
        .stencilStoreOp = VK_ATTACHMENT_STORE_OP_DONT_CARE,
        .initialLayout = VK_IMAGE_LAYOUT_UNDEFINED,
        .finalLayout = final,
    };
}

VkResult create_deferred_pass(VkDevice device, const deferred_formats *f, VkRenderPass *out)
{
    VkAttachmentDescription attachments[SLOT_COUNT];
    attachments[SLOT_COLOR] =
        attachment(f->swapchain, VK_ATTACHMENT_STORE_OP_STORE, VK_IMAGE_LAYOUT_PRESENT_SRC_KHR);
    attachments[SLOT_ALBEDO] =
        attachment(f->albedo, VK_ATTACHMENT_STORE_OP_DONT_CARE, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL);
    attachments[SLOT_NORMAL] =
        attachment(f->normal, VK_ATTACHMENT_STORE_OP_DONT_CARE, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL);
    attachments[SLOT_DEPTH] =
        attachment(f->depth, VK_ATTACHMENT_STORE_OP_DONT_CARE, VK_IMAGE_LAYOUT_DEPTH_STENCIL_READ_ONLY_OPTIMAL);

    const VkAttachmentReference gbuffer_write[] = {
        {SLOT_ALBEDO, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL},
        {SLOT_NORMAL, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL},
    };
    const VkAttachmentReference depth_write = {SLOT_DEPTH, VK_IMAGE_LAYOUT_DEPTH_STENCIL_ATTACHMENT_OPTIMAL};
    /* Order must match input_attachment_index in lighting.frag. */
    const VkAttachmentReference gbuffer_read[] = {
        {SLOT_ALBEDO, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL},
        {SLOT_NORMAL, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL},
        {SLOT_DEPTH, VK_IMAGE_LAYOUT_DEPTH_STENCIL_READ_ONLY_OPTIMAL},
    };
    const VkAttachmentReference color_write = {SLOT_COLOR, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL};

    const VkSubpassDescription subpasses[SUBPASS_COUNT] = {
        [SUBPASS_GEOMETRY] = {
            .pipelineBindPoint = VK_PIPELINE_BIND_POINT_GRAPHICS,
            .colorAttachmentCount = 2,
            .pColorAttachments = gbuffer_write,
            .pDepthStencilAttachment = &depth_write,
        },
        [SUBPASS_LIGHTING] = {
            .pipelineBindPoint = VK_PIPELINE_BIND_POINT_GRAPHICS,
            .inputAttachmentCount = 3,
            .pInputAttachments = gbuffer_read,
            .colorAttachmentCount = 1,
            .pColorAttachments = &color_write,
        },
    };

    const VkSubpassDependency dependencies[] = {
        /* The depth image is shared by all frames in flight: wait for the last user. */
        {
            .srcSubpass = VK_SUBPASS_EXTERNAL,
            .dstSubpass = SUBPASS_GEOMETRY,
            .srcStageMask = VK_PIPELINE_STAGE_FRAGMENT_SHADER_BIT | VK_PIPELINE_STAGE_LATE_FRAGMENT_TESTS_BIT,
            .dstStageMask = VK_PIPELINE_STAGE_EARLY_FRAGMENT_TESTS_BIT | VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT,
            .srcAccessMask = VK_ACCESS_DEPTH_STENCIL_ATTACHMENT_WRITE_BIT,
            .dstAccessMask = VK_ACCESS_DEPTH_STENCIL_ATTACHMENT_WRITE_BIT | VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT,
        },
        /* Same pixel only, hence BY_REGION: this is what keeps the tile on chip. */
        {
            .srcSubpass = SUBPASS_GEOMETRY,
            .dstSubpass = SUBPASS_LIGHTING,
            .srcStageMask = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT | VK_PIPELINE_STAGE_LATE_FRAGMENT_TESTS_BIT,
            .dstStageMask = VK_PIPELINE_STAGE_FRAGMENT_SHADER_BIT,
            .srcAccessMask = VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT | VK_ACCESS_DEPTH_STENCIL_ATTACHMENT_WRITE_BIT,
            .dstAccessMask = VK_ACCESS_INPUT_ATTACHMENT_READ_BIT,
            .dependencyFlags = VK_DEPENDENCY_BY_REGION_BIT,
        },
        /* The acquire semaphore is waited on at this stage by vkQueueSubmit. */
        {
            .srcSubpass = VK_SUBPASS_EXTERNAL,
            .dstSubpass = SUBPASS_LIGHTING,
            .srcStageMask = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT,
            .dstStageMask = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT,
            .dstAccessMask = VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT,
        },
    };

    const VkRenderPassCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_RENDER_PASS_CREATE_INFO,
        .attachmentCount = SLOT_COUNT,
        .pAttachments = attachments,
        .subpassCount = SUBPASS_COUNT,
        .pSubpasses = subpasses,
        .dependencyCount = sizeof dependencies / sizeof *dependencies,
        .pDependencies = dependencies,
    };
    return vkCreateRenderPass(device, &info, NULL, out);
}

void begin_deferred_pass(VkCommandBuffer cmd, VkRenderPass pass, VkFramebuffer target, VkExtent2D size)
{
    const VkClearValue clears[SLOT_COUNT] = {
        [SLOT_COLOR] = {.color.float32 = {0.0f, 0.0f, 0.0f, 1.0f}},
        [SLOT_NORMAL] = {.color.float32 = {0.5f, 0.5f, 1.0f, 0.0f}},
        [SLOT_DEPTH] = {.depthStencil = {.depth = 0.0f}}, /* reverse Z */
    };
    const VkRenderPassBeginInfo begin = {
        .sType = VK_STRUCTURE_TYPE_RENDER_PASS_BEGIN_INFO,
        .renderPass = pass,
        .framebuffer = target,
        .renderArea = {.extent = size},
        .clearValueCount = SLOT_COUNT,
        .pClearValues = clears,
    };
    vkCmdBeginRenderPass(cmd, &begin, VK_SUBPASS_CONTENTS_INLINE);
}
