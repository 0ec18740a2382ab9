namespace Storage\Cache;

use RuntimeException;

/**
 * Keeps rendered fragments in files, within a limit on their total size.
 *
 * File access times serve as the record of use, so that several processes share one
 * cache without a common index. Writes go to a temporary file first: readers see
 * either the old entry or the new one, never half of it.
 */
class LruDiskCache extends AbstractCache
{
    /**
     * Evict down to this share of the limit, so that not every write evicts.
     */
    const LOW_WATER = 0.9;

    const HEADER = "FRG1";

    protected directory { get };

    protected limit { get };

    protected logger = null { set };

    protected written = 0;

    public function __construct(string directory, int limit, array options = [])
    {
        if !is_dir(directory) && !mkdir(directory, 0770, true) {
            throw new RuntimeException("Cannot create " . directory);
        }

        let this->directory = rtrim(directory, "/"),
            this->limit = limit;

        parent::__construct(options);
    }

    /**
     * Returns null for a miss, whatever its cause: absent, expired, damaged.
     */
    public function get(string key) -> string | null
    {
        string path, raw;
        var contents, header;

        let path = this->pathOf(key),
            contents = file_exists(path) ? file_get_contents(path) : false;
        if typeof contents != "string" {
            return null;
        }

        let raw = (string) contents,
            header = unpack("a4magic/Nexpires/Nchecksum", substr(raw, 0, 12));
        if header === false || header["magic"] != self::HEADER {
            return this->discard(path, "unknown format");
        }
        if header["expires"] != 0 && header["expires"] < time() {
            return this->discard(path, "expired");
        }
        let raw = substr(raw, 12);
        if header["checksum"] != crc32(raw) {
            return this->discard(path, "damaged");
        }

        touch(path, filemtime(path), time());
        return raw;
    }

    public function put(string key, string value, int lifetime = 0) -> bool
    {
        string path, temporary;
        int expires = 0;

        if lifetime > 0 {
            let expires = time() + lifetime;
        }

        let path = this->pathOf(key),
            temporary = path . "." . uniqid("", true);
        if !is_dir(dirname(path)) {
            mkdir(dirname(path), 0770, true);
        }
        if file_put_contents(temporary, pack("a4NN", self::HEADER, expires, crc32(value)) . value) === false {
            return false;
        }
        rename(temporary, path);

        // Measuring the directory is slow, so it happens once per eighth of the limit.
        let this->written += strlen(value);
        if this->written * 8 > this->limit {
            this->evict();
            let this->written = 0;
        }
        return true;
    }

    /**
     * Deletes the least recently read entries until the cache is below the low-water
     * mark. Returns the number of bytes that were freed.
     */
    public function evict() -> int
    {
        var path, size;
        array used = [], sizes = [];
        int total = 0, freed = 0;

        clearstatcache();
        for path in glob(this->directory . "/*/*") {
            let size = filesize(path);
            if size === false {
                continue; // another process was faster
            }
            let sizes[path] = size,
                used[path] = fileatime(path),
                total += size;
        }

        asort(used);
        for path, _ in used {
            if total - freed <= this->limit * self::LOW_WATER {
                break;
            }
            if unlink(path) {
                let freed += sizes[path];
            }
        }

        return freed;
    }

    private function pathOf(string key) -> string
    {
        string name;

        let name = hash("sha1", key);
        return this->directory . "/" . substr(name, 0, 2) . "/" . substr(name, 2);
    }

    private function discard(string path, string reason) -> string | null
    {
        unlink(path);
        if this->logger !== null {
            this->logger->debug("Cache entry dropped: " . reason, ["path": path]);
        }
        return null;
    }
}
