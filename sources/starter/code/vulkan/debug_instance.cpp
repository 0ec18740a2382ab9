// Creates a VkInstance with validation when the loader offers it, routes layer
// messages to a sink, and tears everything down in the reverse order.
#include <vulkan/vulkan.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace gfx {

struct DebugMessage {
    VkDebugUtilsMessageSeverityFlagBitsEXT severity;
    std::string id;
    std::string text;
    std::vector<std::string> objects;
};

using DebugSink = std::function<void(const DebugMessage&)>;

class Instance {
public:
    Instance(const char* appName, std::vector<const char*> required, DebugSink sink)
        : sink_(std::move(sink)) {
        const bool haveValidation = hasLayer(kValidation);
        const bool haveDebugUtils = hasExtension(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
        const bool portability = hasExtension(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
        if (haveDebugUtils) required.push_back(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
        if (portability) required.push_back(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);

        for (const char* name : required)
            if (!hasExtension(name))
                throw std::runtime_error(std::string("instance extension missing: ") + name);

        VkApplicationInfo app{VK_STRUCTURE_TYPE_APPLICATION_INFO};
        app.pApplicationName = appName;
        app.applicationVersion = VK_MAKE_API_VERSION(0, 1, 4, 0);
        app.apiVersion = VK_API_VERSION_1_3;

        // Chained so that vkCreateInstance and vkDestroyInstance are covered too:
        // the messenger object itself does not exist during those two calls.
        VkDebugUtilsMessengerCreateInfoEXT messenger = messengerInfo();
        const VkValidationFeatureEnableEXT enables[] = {
            VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT,
            VK_VALIDATION_FEATURE_ENABLE_BEST_PRACTICES_EXT,
        };
        VkValidationFeaturesEXT features{VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT};
        features.pNext = &messenger;
        features.enabledValidationFeatureCount = static_cast<uint32_t>(std::size(enables));
        features.pEnabledValidationFeatures = enables;

        VkInstanceCreateInfo info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
        info.pApplicationInfo = &app;
        info.flags = portability ? VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR : 0;
        info.enabledExtensionCount = static_cast<uint32_t>(required.size());
        info.ppEnabledExtensionNames = required.data();
        if (haveDebugUtils) info.pNext = &messenger;
        if (haveValidation) {
            info.enabledLayerCount = 1;
            info.ppEnabledLayerNames = &kValidation;
            if (haveDebugUtils) info.pNext = &features;
        }
        if (VkResult r = vkCreateInstance(&info, nullptr, &handle_); r != VK_SUCCESS)
            throw std::runtime_error("vkCreateInstance failed with code " + std::to_string(r));

        if (haveDebugUtils) {
            auto create = load<PFN_vkCreateDebugUtilsMessengerEXT>("vkCreateDebugUtilsMessengerEXT");
            create(handle_, &messenger, nullptr, &messenger_);
        }
    }

    ~Instance() {
        if (messenger_ != VK_NULL_HANDLE)
            load<PFN_vkDestroyDebugUtilsMessengerEXT>("vkDestroyDebugUtilsMessengerEXT")(
                handle_, messenger_, nullptr);
        if (handle_ != VK_NULL_HANDLE) vkDestroyInstance(handle_, nullptr);
    }

    // The messenger keeps a pointer to sink_, so the object must not move.
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    VkInstance get() const { return handle_; }

private:
    static constexpr const char* kValidation = "VK_LAYER_KHRONOS_validation";

    template <class Fn>
    Fn load(const char* name) const {
        return reinterpret_cast<Fn>(vkGetInstanceProcAddr(handle_, name));
    }

    VkDebugUtilsMessengerCreateInfoEXT messengerInfo() {
        VkDebugUtilsMessengerCreateInfoEXT info{VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT};
        info.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                               VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
        info.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
        info.pUserData = &sink_;
        info.pfnUserCallback = [](VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                  VkDebugUtilsMessageTypeFlagsEXT,
                                  const VkDebugUtilsMessengerCallbackDataEXT* data,
                                  void* user) -> VkBool32 {
            DebugMessage message{severity, data->pMessageIdName ? data->pMessageIdName : "", data->pMessage, {}};
            for (uint32_t i = 0; i < data->objectCount; ++i)
                if (data->pObjects[i].pObjectName) message.objects.emplace_back(data->pObjects[i].pObjectName);
            (*static_cast<DebugSink*>(user))(message);
            return VK_FALSE;  // VK_TRUE would abort the offending call
        };
        return info;
    }

    static bool hasLayer(const char* wanted) {
        uint32_t count = 0;
        vkEnumerateInstanceLayerProperties(&count, nullptr);
        std::vector<VkLayerProperties> layers(count);
        vkEnumerateInstanceLayerProperties(&count, layers.data());
        return std::any_of(layers.begin(), layers.end(),
                           [&](const auto& l) { return std::strcmp(l.layerName, wanted) == 0; });
    }

    static bool hasExtension(const char* wanted) {
        uint32_t count = 0;
        vkEnumerateInstanceExtensionProperties(nullptr, &count, nullptr);
        std::vector<VkExtensionProperties> found(count);
        vkEnumerateInstanceExtensionProperties(nullptr, &count, found.data());
        return std::any_of(found.begin(), found.end(),
                           [&](const auto& e) { return std::strcmp(e.extensionName, wanted) == 0; });
    }

    DebugSink sink_;
    VkInstance handle_ = VK_NULL_HANDLE;
    VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
};

}  // namespace gfx

int main() {
    gfx::Instance instance("inspection", {}, [](const gfx::DebugMessage& m) {
        std::fprintf(stderr, "[%s] %s\n", m.id.c_str(), m.text.c_str());
    });
    std::printf("instance ready: %d\n", instance.get() != VK_NULL_HANDLE);
}
