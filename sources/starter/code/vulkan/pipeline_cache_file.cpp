// Loads and stores a VkPipelineCache on disk.
//
// A driver is meant to reject foreign data, but several have crashed on it, so
// the file carries a header of our own: format version, driver version, device
// UUID and a checksum. Anything that does not match starts an empty cache.
// Saving writes a temporary file and renames it over the old one.
#include <vulkan/vulkan.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

namespace {

struct FileHeader {
    char magic[4] = {'V', 'K', 'P', 'C'};
    uint32_t version = 2;
    uint32_t vendor = 0;
    uint32_t device = 0;
    uint32_t driver = 0;
    uint32_t pointerSize = sizeof(void*);  // 32 and 64 bit builds do not share
    uint8_t uuid[VK_UUID_SIZE] = {};
    uint64_t payloadSize = 0;
    uint64_t payloadHash = 0;
};
static_assert(sizeof(FileHeader) == 56, "the header is written as it lies in memory");

uint64_t fnv1a(const std::vector<uint8_t>& bytes) {
    uint64_t h = 14695981039346656037ull;
    for (uint8_t b : bytes) h = (h ^ b) * 1099511628211ull;
    return h;
}

FileHeader expectedHeader(VkPhysicalDevice gpu) {
    VkPhysicalDeviceProperties props{};
    vkGetPhysicalDeviceProperties(gpu, &props);
    FileHeader h;
    h.vendor = props.vendorID;
    h.device = props.deviceID;
    h.driver = props.driverVersion;
    std::memcpy(h.uuid, props.pipelineCacheUUID, VK_UUID_SIZE);
    return h;
}

bool sameOrigin(const FileHeader& a, const FileHeader& b) {
    return std::memcmp(a.magic, b.magic, sizeof a.magic) == 0 && a.version == b.version && a.vendor == b.vendor &&
           a.device == b.device && a.driver == b.driver && a.pointerSize == b.pointerSize &&
           std::memcmp(a.uuid, b.uuid, VK_UUID_SIZE) == 0;
}

std::optional<std::vector<uint8_t>> readPayload(const fs::path& path, const FileHeader& expected) {
    std::ifstream in(path, std::ios::binary);
    FileHeader found;
    if (!in.read(reinterpret_cast<char*>(&found), sizeof found) || !sameOrigin(found, expected)) return std::nullopt;
    if (found.payloadSize > (uint64_t{256} << 20)) return std::nullopt;  // refuse absurd sizes
    std::vector<uint8_t> payload(found.payloadSize);
    if (!in.read(reinterpret_cast<char*>(payload.data()), static_cast<std::streamsize>(payload.size())))
        return std::nullopt;
    if (fnv1a(payload) != found.payloadHash) return std::nullopt;
    return payload;
}

}  // namespace

class PipelineCacheFile {
public:
    PipelineCacheFile(VkPhysicalDevice gpu, VkDevice device, fs::path path)
        : device_(device), path_(std::move(path)), header_(expectedHeader(gpu)) {
        const auto payload = readPayload(path_, header_);
        cache_ = create(payload ? *payload : std::vector<uint8_t>{});
        loadedBytes_ = payload ? payload->size() : 0;
    }

    ~PipelineCacheFile() {
        try {
            save();
        } catch (const std::exception&) {
            // Losing the cache costs a slow start next time, nothing more.
        }
        vkDestroyPipelineCache(device_, cache_, nullptr);
    }

    PipelineCacheFile(const PipelineCacheFile&) = delete;
    PipelineCacheFile& operator=(const PipelineCacheFile&) = delete;

    VkPipelineCache get() const { return cache_; }
    bool warm() const { return loadedBytes_ > 0; }

    // Worker threads compile into caches of their own, without a shared lock.
    VkPipelineCache createForWorker() const { return create({}); }

    void mergeAndDestroy(const std::vector<VkPipelineCache>& workers) {
        if (!workers.empty())
            vkMergePipelineCaches(device_, cache_, static_cast<uint32_t>(workers.size()), workers.data());
        for (VkPipelineCache c : workers) vkDestroyPipelineCache(device_, c, nullptr);
    }

    void save() const {
        size_t size = 0;
        vkGetPipelineCacheData(device_, cache_, &size, nullptr);
        std::vector<uint8_t> payload(size);
        // VK_INCOMPLETE means that it grew between the calls: try again next time.
        if (vkGetPipelineCacheData(device_, cache_, &size, payload.data()) != VK_SUCCESS) return;
        payload.resize(size);
        if (size == loadedBytes_) return;  // nothing new was compiled

        FileHeader header = header_;
        header.payloadSize = payload.size();
        header.payloadHash = fnv1a(payload);
        fs::path temporary = path_;
        temporary += ".part";
        {
            std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
            out.write(reinterpret_cast<const char*>(&header), sizeof header);
            out.write(reinterpret_cast<const char*>(payload.data()), static_cast<std::streamsize>(payload.size()));
            if (!out.flush()) throw std::runtime_error("cannot write " + temporary.string());
        }
        fs::rename(temporary, path_);
    }

private:
    VkPipelineCache create(const std::vector<uint8_t>& initial) const {
        VkPipelineCacheCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
        info.initialDataSize = initial.size();
        info.pInitialData = initial.data();
        VkPipelineCache cache = VK_NULL_HANDLE;
        if (vkCreatePipelineCache(device_, &info, nullptr, &cache) != VK_SUCCESS)
            throw std::runtime_error("cannot create pipeline cache");
        return cache;
    }

    VkDevice device_;
    fs::path path_;
    FileHeader header_;
    VkPipelineCache cache_ = VK_NULL_HANDLE;
    size_t loadedBytes_ = 0;
};
