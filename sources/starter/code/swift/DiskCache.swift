import Foundation

/// A size-bounded cache on disk, isolated by an actor.
///
/// Values are stored one file per key. The index of sizes and last uses is
/// kept in memory and rebuilt from the directory at start, so a crash cannot
/// leave it out of step with the files.
public actor DiskCache {
    public struct Statistics: Sendable, Equatable {
        public fileprivate(set) var hits = 0
        public fileprivate(set) var misses = 0
        public fileprivate(set) var evictions = 0
    }

    public enum CacheError: Error {
        case valueTooLarge(bytes: Int, limit: Int)
        case notADirectory(URL)
    }

    private struct Entry {
        var size: Int
        var lastUse: Date
    }

    private let directory: URL
    private let limit: Int
    private let now: @Sendable () -> Date
    private var index: [String: Entry]
    private var total: Int
    /// Loads in flight, so that concurrent requests for a key share one.
    private var loading: [String: Task<Data, Error>] = [:]
    public private(set) var statistics = Statistics()

    public init(
        directory: URL,
        limit: Int,
        now: @escaping @Sendable () -> Date = { Date() }
    ) throws {
        self.directory = directory
        self.limit = limit
        self.now = now
        index = try Self.scan(directory)
        total = index.values.reduce(0) { $0 + $1.size }
    }

    private static func scan(_ directory: URL) throws -> [String: Entry] {
        let manager = FileManager.default
        try manager.createDirectory(at: directory, withIntermediateDirectories: true)
        let keys: Set<URLResourceKey> = [.fileSizeKey, .contentModificationDateKey, .isRegularFileKey]
        let files = try manager.contentsOfDirectory(
            at: directory, includingPropertiesForKeys: Array(keys))

        var index: [String: Entry] = [:]
        for file in files {
            let values = try file.resourceValues(forKeys: keys)
            guard values.isRegularFile == true else { continue }
            index[file.lastPathComponent] = Entry(
                size: values.fileSize ?? 0,
                lastUse: values.contentModificationDate ?? .distantPast)
        }
        return index
    }

    /// Returns the cached value, or loads, stores and returns it.
    public func value(
        for key: String,
        orLoad load: @escaping @Sendable () async throws -> Data
    ) async throws -> Data {
        if let data = read(key) {
            statistics.hits += 1
            return data
        }
        if let task = loading[key] {
            return try await task.value
        }

        statistics.misses += 1
        let task = Task { try await load() }
        loading[key] = task
        defer { loading[key] = nil }
        // Other calls may run during this suspension; they find the task.
        let data = try await task.value
        try store(data, for: key)
        return data
    }

    public func remove(_ key: String) {
        let name = Self.fileName(for: key)
        guard let entry = index.removeValue(forKey: name) else { return }
        total -= entry.size
        try? FileManager.default.removeItem(at: directory.appendingPathComponent(name))
    }

    private func read(_ key: String) -> Data? {
        let name = Self.fileName(for: key)
        guard index[name] != nil else { return nil }
        do {
            let data = try Data(contentsOf: directory.appendingPathComponent(name))
            index[name]?.lastUse = now()
            return data
        } catch {
            // Somebody cleaned the directory behind our back.
            total -= index.removeValue(forKey: name)?.size ?? 0
            return nil
        }
    }

    private func store(_ data: Data, for key: String) throws {
        guard data.count <= limit else {
            throw CacheError.valueTooLarge(bytes: data.count, limit: limit)
        }
        let name = Self.fileName(for: key)
        try data.write(to: directory.appendingPathComponent(name), options: .atomic)
        total += data.count - (index[name]?.size ?? 0)
        index[name] = Entry(size: data.count, lastUse: now())
        evictIfNeeded(keeping: name)
    }

    /// Drops the least recently used files until nine tenths are in use, so
    /// that the next store does not have to evict again.
    private func evictIfNeeded(keeping newest: String) {
        guard total > limit else { return }
        let target = limit / 10 * 9
        for (name, entry) in index.sorted(by: { $0.value.lastUse < $1.value.lastUse })
        where name != newest {
            try? FileManager.default.removeItem(at: directory.appendingPathComponent(name))
            index[name] = nil
            total -= entry.size
            statistics.evictions += 1
            if total <= target { break }
        }
    }

    /// Percent-encodes whatever a file system might object to.
    static func fileName(for key: String) -> String {
        let allowed = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-_"))
        return key.addingPercentEncoding(withAllowedCharacters: allowed) ?? "%00"
    }
}
