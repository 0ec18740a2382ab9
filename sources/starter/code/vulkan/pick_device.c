/*
 * Chooses a physical device and the queue families that a renderer needs.
 *
 * A device is refused when it lacks a hard requirement; the rest get a score.
 * The reason for a refusal is kept, because "no suitable GPU" with no further
 * word is the worst message a user can see.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

#define MAX_DEVICES 16
#define MAX_FAMILIES 32
#define MISSING UINT32_MAX

typedef struct queue_choice {
    uint32_t graphics;
    uint32_t present;
    uint32_t compute;   /* async compute when possible, else graphics */
    uint32_t transfer;  /* dedicated copy engine when possible */
} queue_choice;

typedef struct device_choice {
    VkPhysicalDevice device;
    VkPhysicalDeviceProperties props;
    queue_choice queues;
    VkDeviceSize local_bytes;
    int score;
} device_choice;

static const char *const required_extensions[] = {
    VK_KHR_SWAPCHAIN_EXTENSION_NAME,
};

static queue_choice find_queues(VkPhysicalDevice device, VkSurfaceKHR surface)
{
    VkQueueFamilyProperties families[MAX_FAMILIES];
    uint32_t count = MAX_FAMILIES;
    vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families);

    queue_choice q = {MISSING, MISSING, MISSING, MISSING};
    for (uint32_t i = 0; i < count; ++i) {
        const VkQueueFlags flags = families[i].queueFlags;
        VkBool32 can_present = VK_FALSE;
        if (surface != VK_NULL_HANDLE)
            vkGetPhysicalDeviceSurfaceSupportKHR(device, i, surface, &can_present);

        /* Prefer one family that can both draw and present. */
        if (flags & VK_QUEUE_GRAPHICS_BIT) {
            if (q.graphics == MISSING || (can_present && q.present != q.graphics)) {
                q.graphics = i;
                if (can_present)
                    q.present = i;
            }
        } else if (flags & VK_QUEUE_COMPUTE_BIT) {
            q.compute = i;
        } else if (flags & VK_QUEUE_TRANSFER_BIT) {
            q.transfer = i;
        }
        if (can_present && q.present == MISSING)
            q.present = i;
    }
    if (q.compute == MISSING)
        q.compute = q.graphics;
    if (q.transfer == MISSING)
        q.transfer = q.compute;
    return q;
}

static const char *missing_extension(VkPhysicalDevice device)
{
    uint32_t count = 0;
    vkEnumerateDeviceExtensionProperties(device, NULL, &count, NULL);
    VkExtensionProperties *have = calloc(count ? count : 1, sizeof *have);
    const char *missing = have ? NULL : "(out of memory)";
    if (have)
        vkEnumerateDeviceExtensionProperties(device, NULL, &count, have);

    for (size_t r = 0; have && !missing && r < sizeof required_extensions / sizeof *required_extensions; ++r) {
        bool found = false;
        for (uint32_t i = 0; i < count && !found; ++i)
            found = strcmp(have[i].extensionName, required_extensions[r]) == 0;
        if (!found)
            missing = required_extensions[r];
    }
    free(have);
    return missing;
}

/* Returns NULL and fills `out` when the device qualifies, else the reason. */
static const char *judge(VkPhysicalDevice device, VkSurfaceKHR surface, device_choice *out)
{
    VkPhysicalDeviceVulkan13Features f13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
    VkPhysicalDeviceVulkan12Features f12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                            .pNext = &f13};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &f12};
    VkPhysicalDeviceMemoryProperties memory;

    *out = (device_choice){.device = device};
    vkGetPhysicalDeviceProperties(device, &out->props);
    if (out->props.apiVersion < VK_API_VERSION_1_3)
        return "driver is older than Vulkan 1.3";
    vkGetPhysicalDeviceFeatures2(device, &features);
    if (!f12.timelineSemaphore || !f13.synchronization2 || !f13.dynamicRendering)
        return "timeline semaphores, synchronization2 or dynamic rendering missing";
    const char *extension = missing_extension(device);
    if (surface != VK_NULL_HANDLE && extension)
        return extension;
    out->queues = find_queues(device, surface);
    if (out->queues.graphics == MISSING)
        return "no graphics queue";
    if (surface != VK_NULL_HANDLE && out->queues.present == MISSING)
        return "cannot present to this window";

    vkGetPhysicalDeviceMemoryProperties(device, &memory);
    for (uint32_t i = 0; i < memory.memoryHeapCount; ++i)
        if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
            out->local_bytes += memory.memoryHeaps[i].size;

    out->score = (int)(out->local_bytes >> 28); /* one point per 256 MiB */
    if (out->props.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU)
        out->score += 1000;
    if (out->queues.transfer != out->queues.graphics)
        out->score += 50;
    return NULL;
}

bool pick_device(VkInstance instance, VkSurfaceKHR surface, device_choice *best)
{
    VkPhysicalDevice devices[MAX_DEVICES];
    uint32_t count = MAX_DEVICES;
    best->score = -1;
    if (vkEnumeratePhysicalDevices(instance, &count, devices) < 0)
        return false;
    for (uint32_t i = 0; i < count; ++i) {
        device_choice candidate;
        const char *reason = judge(devices[i], surface, &candidate);
        if (reason)
            fprintf(stderr, "skipping %s: %s\n", candidate.props.deviceName, reason);
        else if (candidate.score > best->score)
            *best = candidate;
    }
    return best->score >= 0;
}
