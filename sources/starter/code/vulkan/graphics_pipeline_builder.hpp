// Fluent builder for VkPipeline objects.
//
// Every setter touches one piece of fixed-function state and starts from the
// defaults most opaque geometry wants, so a typical pipeline is five lines:
//
//     VkPipeline p = GraphicsPipelineBuilder(device, layout)
//                        .stage(VK_SHADER_STAGE_VERTEX_BIT, vert)
//                        .stage(VK_SHADER_STAGE_FRAGMENT_BIT, frag)
//                        .vertex<Vertex>(Vertex::attributes)
//                        .target(renderPass, 0)
//                        .build(cache);
#pragma once

#include <vulkan/vulkan.h>

#include <array>
#include <stdexcept>
#include <vector>

enum class Blend { Opaque, Alpha, Premultiplied, Additive };

class GraphicsPipelineBuilder {
public:
    GraphicsPipelineBuilder(VkDevice device, VkPipelineLayout layout) : device_(device), layout_(layout) {
        assembly_.topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST;
        raster_.polygonMode = VK_POLYGON_MODE_FILL;
        raster_.cullMode = VK_CULL_MODE_BACK_BIT;
        raster_.frontFace = VK_FRONT_FACE_COUNTER_CLOCKWISE;
        raster_.lineWidth = 1.0f;
        multisample_.rasterizationSamples = VK_SAMPLE_COUNT_1_BIT;
        // Reverse Z: the near plane is at 1 and the far plane at 0.
        depth(true, true, VK_COMPARE_OP_GREATER_OR_EQUAL);
        blend(Blend::Opaque);
    }

    GraphicsPipelineBuilder& stage(VkShaderStageFlagBits which, VkShaderModule module,
                                   const VkSpecializationInfo* constants = nullptr) {
        VkPipelineShaderStageCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO};
        info.stage = which;
        info.module = module;
        info.pName = "main";
        info.pSpecializationInfo = constants;
        stages_.push_back(info);
        return *this;
    }

    template <class V, class Attributes>
    GraphicsPipelineBuilder& vertex(const Attributes& attributes,
                                    VkVertexInputRate rate = VK_VERTEX_INPUT_RATE_VERTEX) {
        const auto binding = static_cast<uint32_t>(bindings_.size());
        bindings_.push_back({binding, sizeof(V), rate});
        for (VkVertexInputAttributeDescription a : attributes) {
            a.binding = binding;
            attributes_.push_back(a);
        }
        return *this;
    }

    GraphicsPipelineBuilder& topology(VkPrimitiveTopology t) {
        assembly_.topology = t;
        assembly_.primitiveRestartEnable =
            t == VK_PRIMITIVE_TOPOLOGY_TRIANGLE_STRIP || t == VK_PRIMITIVE_TOPOLOGY_LINE_STRIP;
        return *this;
    }

    GraphicsPipelineBuilder& depth(bool test, bool write, VkCompareOp op) {
        depth_.depthTestEnable = test;
        depth_.depthWriteEnable = write;
        depth_.depthCompareOp = op;
        return *this;
    }

    GraphicsPipelineBuilder& blend(Blend kind) {
        attachment_ = {};
        attachment_.colorWriteMask = VK_COLOR_COMPONENT_R_BIT | VK_COLOR_COMPONENT_G_BIT |
                                     VK_COLOR_COMPONENT_B_BIT | VK_COLOR_COMPONENT_A_BIT;
        attachment_.blendEnable = kind != Blend::Opaque;
        attachment_.srcColorBlendFactor =
            kind == Blend::Alpha ? VK_BLEND_FACTOR_SRC_ALPHA : VK_BLEND_FACTOR_ONE;
        attachment_.dstColorBlendFactor =
            kind == Blend::Additive ? VK_BLEND_FACTOR_ONE : VK_BLEND_FACTOR_ONE_MINUS_SRC_ALPHA;
        attachment_.srcAlphaBlendFactor = VK_BLEND_FACTOR_ONE;
        attachment_.dstAlphaBlendFactor = VK_BLEND_FACTOR_ONE_MINUS_SRC_ALPHA;
        return *this;
    }

    GraphicsPipelineBuilder& target(VkRenderPass pass, uint32_t subpass) {
        renderPass_ = pass;
        subpass_ = subpass;
        return *this;
    }

    VkPipeline build(VkPipelineCache cache = VK_NULL_HANDLE) const {
        if (stages_.empty()) throw std::logic_error("pipeline without shader stages");

        VkPipelineVertexInputStateCreateInfo input{VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO};
        input.vertexBindingDescriptionCount = static_cast<uint32_t>(bindings_.size());
        input.pVertexBindingDescriptions = bindings_.data();
        input.vertexAttributeDescriptionCount = static_cast<uint32_t>(attributes_.size());
        input.pVertexAttributeDescriptions = attributes_.data();

        // Viewport and scissor are dynamic, so a resize never rebuilds pipelines.
        VkPipelineViewportStateCreateInfo viewport{VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO};
        viewport.viewportCount = viewport.scissorCount = 1;
        constexpr std::array dynamics{VK_DYNAMIC_STATE_VIEWPORT, VK_DYNAMIC_STATE_SCISSOR};
        VkPipelineDynamicStateCreateInfo dynamic{VK_STRUCTURE_TYPE_PIPELINE_DYNAMIC_STATE_CREATE_INFO};
        dynamic.dynamicStateCount = static_cast<uint32_t>(dynamics.size());
        dynamic.pDynamicStates = dynamics.data();

        VkPipelineColorBlendStateCreateInfo color{VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO};
        color.attachmentCount = 1;
        color.pAttachments = &attachment_;

        VkGraphicsPipelineCreateInfo info{VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO};
        info.stageCount = static_cast<uint32_t>(stages_.size());
        info.pStages = stages_.data();
        info.pVertexInputState = &input;
        info.pInputAssemblyState = &assembly_;
        info.pViewportState = &viewport;
        info.pRasterizationState = &raster_;
        info.pMultisampleState = &multisample_;
        info.pDepthStencilState = &depth_;
        info.pColorBlendState = &color;
        info.pDynamicState = &dynamic;
        info.layout = layout_;
        info.renderPass = renderPass_;
        info.subpass = subpass_;
        VkPipeline pipeline = VK_NULL_HANDLE;
        if (vkCreateGraphicsPipelines(device_, cache, 1, &info, nullptr, &pipeline) != VK_SUCCESS)
            throw std::runtime_error("vkCreateGraphicsPipelines failed");
        return pipeline;
    }

private:
    VkDevice device_;
    VkPipelineLayout layout_;
    VkRenderPass renderPass_ = VK_NULL_HANDLE;
    uint32_t subpass_ = 0;
    std::vector<VkPipelineShaderStageCreateInfo> stages_;
    std::vector<VkVertexInputBindingDescription> bindings_;
    std::vector<VkVertexInputAttributeDescription> attributes_;
    VkPipelineInputAssemblyStateCreateInfo assembly_{VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO};
    VkPipelineRasterizationStateCreateInfo raster_{VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO};
    VkPipelineMultisampleStateCreateInfo multisample_{VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO};
    VkPipelineDepthStencilStateCreateInfo depth_{VK_STRUCTURE_TYPE_PIPELINE_DEPTH_STENCIL_STATE_CREATE_INFO};
    VkPipelineColorBlendAttachmentState attachment_{};
};
