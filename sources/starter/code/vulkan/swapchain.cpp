// Swapchain wrapper: creation, recreation on resize, acquire and present.
//
// The old chain is handed to vkCreateSwapchainKHR so that frames already queued
// can still be shown, and is destroyed only after the device has gone idle on it.
#include <vulkan/vulkan.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <vector>

struct SwapchainConfig {
    VkPhysicalDevice gpu;
    VkDevice device;
    VkSurfaceKHR surface;
    uint32_t graphicsFamily;
    uint32_t presentFamily;
    bool lowLatency;  // mailbox instead of fifo when the driver has it
};

class Swapchain {
public:
    Swapchain(const SwapchainConfig& config, VkExtent2D windowSize) : cfg_(config) { rebuild(windowSize); }
    ~Swapchain() { destroy(); }
    Swapchain(const Swapchain&) = delete;

    // Returns false while the window is minimised: a zero extent is not legal.
    bool rebuild(VkExtent2D windowSize) {
        VkSurfaceCapabilitiesKHR caps{};
        vkGetPhysicalDeviceSurfaceCapabilitiesKHR(cfg_.gpu, cfg_.surface, &caps);
        const VkExtent2D extent = chooseExtent(caps, windowSize);
        if (extent.width == 0 || extent.height == 0) return false;

        const VkSurfaceFormatKHR format = chooseFormat();
        uint32_t images = caps.minImageCount + 1;
        if (caps.maxImageCount != 0) images = std::min(images, caps.maxImageCount);

        const std::array<uint32_t, 2> families{cfg_.graphicsFamily, cfg_.presentFamily};
        const bool shared = families[0] != families[1];

        VkSwapchainCreateInfoKHR info{VK_STRUCTURE_TYPE_SWAPCHAIN_CREATE_INFO_KHR};
        info.surface = cfg_.surface;
        info.minImageCount = images;
        info.imageFormat = format.format;
        info.imageColorSpace = format.colorSpace;
        info.imageExtent = extent;
        info.imageArrayLayers = 1;
        info.imageUsage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
        info.imageSharingMode = shared ? VK_SHARING_MODE_CONCURRENT : VK_SHARING_MODE_EXCLUSIVE;
        info.queueFamilyIndexCount = shared ? 2u : 0u;
        info.pQueueFamilyIndices = families.data();
        info.preTransform = caps.currentTransform;
        info.compositeAlpha = VK_COMPOSITE_ALPHA_OPAQUE_BIT_KHR;
        info.presentMode = choosePresentMode();
        info.clipped = VK_TRUE;
        info.oldSwapchain = chain_;

        VkSwapchainKHR fresh = VK_NULL_HANDLE;
        if (vkCreateSwapchainKHR(cfg_.device, &info, nullptr, &fresh) != VK_SUCCESS)
            throw std::runtime_error("cannot create swapchain");
        if (chain_ != VK_NULL_HANDLE) {
            vkDeviceWaitIdle(cfg_.device);
            destroy();
        }
        chain_ = fresh;
        extent_ = extent;
        format_ = format.format;
        createViews();
        return true;
    }

    // No value means: the chain no longer fits the window, call rebuild().
    std::optional<uint32_t> acquire(VkSemaphore imageReady) {
        uint32_t index = 0;
        switch (vkAcquireNextImageKHR(cfg_.device, chain_, UINT64_MAX, imageReady, VK_NULL_HANDLE, &index)) {
            case VK_SUCCESS:
            case VK_SUBOPTIMAL_KHR: return index;  // already signalled, so draw this frame first
            case VK_ERROR_OUT_OF_DATE_KHR: return std::nullopt;
            default: throw std::runtime_error("acquire failed");
        }
    }

    bool present(VkQueue queue, uint32_t index, VkSemaphore renderDone) {
        VkPresentInfoKHR info{VK_STRUCTURE_TYPE_PRESENT_INFO_KHR};
        info.waitSemaphoreCount = 1;
        info.pWaitSemaphores = &renderDone;
        info.swapchainCount = 1;
        info.pSwapchains = &chain_;
        info.pImageIndices = &index;
        return vkQueuePresentKHR(queue, &info) == VK_SUCCESS;
    }

    VkImageView view(uint32_t index) const { return views_[index]; }
    VkExtent2D extent() const { return extent_; }

private:
    static VkExtent2D chooseExtent(const VkSurfaceCapabilitiesKHR& caps, VkExtent2D wanted) {
        if (caps.currentExtent.width != UINT32_MAX) return caps.currentExtent;
        return {std::clamp(wanted.width, caps.minImageExtent.width, caps.maxImageExtent.width),
                std::clamp(wanted.height, caps.minImageExtent.height, caps.maxImageExtent.height)};
    }

    VkSurfaceFormatKHR chooseFormat() const {
        uint32_t count = 0;
        vkGetPhysicalDeviceSurfaceFormatsKHR(cfg_.gpu, cfg_.surface, &count, nullptr);
        std::vector<VkSurfaceFormatKHR> all(count);
        vkGetPhysicalDeviceSurfaceFormatsKHR(cfg_.gpu, cfg_.surface, &count, all.data());
        for (const auto& f : all)
            if (f.format == VK_FORMAT_B8G8R8A8_SRGB && f.colorSpace == VK_COLOR_SPACE_SRGB_NONLINEAR_KHR) return f;
        return all.at(0);
    }

    VkPresentModeKHR choosePresentMode() const {
        if (!cfg_.lowLatency) return VK_PRESENT_MODE_FIFO_KHR;  // always available
        std::array<VkPresentModeKHR, 8> modes{};
        uint32_t count = modes.size();
        vkGetPhysicalDeviceSurfacePresentModesKHR(cfg_.gpu, cfg_.surface, &count, modes.data());
        const auto found = std::find(modes.begin(), modes.begin() + count, VK_PRESENT_MODE_MAILBOX_KHR);
        return found != modes.begin() + count ? *found : VK_PRESENT_MODE_FIFO_KHR;
    }

    void createViews() {
        uint32_t count = 0;
        vkGetSwapchainImagesKHR(cfg_.device, chain_, &count, nullptr);
        std::vector<VkImage> images(count);
        vkGetSwapchainImagesKHR(cfg_.device, chain_, &count, images.data());
        for (VkImage image : images) {
            VkImageViewCreateInfo info{VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO};
            info.image = image;
            info.viewType = VK_IMAGE_VIEW_TYPE_2D;
            info.format = format_;
            info.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
            if (vkCreateImageView(cfg_.device, &info, nullptr, &views_.emplace_back()) != VK_SUCCESS)
                throw std::runtime_error("cannot create swapchain view");
        }
    }

    void destroy() {
        for (VkImageView v : views_) vkDestroyImageView(cfg_.device, v, nullptr);
        views_.clear();
        vkDestroySwapchainKHR(cfg_.device, chain_, nullptr);
    }

    SwapchainConfig cfg_;
    VkSwapchainKHR chain_ = VK_NULL_HANDLE;
    VkFormat format_ = VK_FORMAT_UNDEFINED;
    VkExtent2D extent_{};
    std::vector<VkImageView> views_;
};
