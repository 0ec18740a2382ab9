// A small thread pool with cooperative cancellation, and a checksum job
// that uses it. Workers are std::jthread: destroying the pool requests a
// stop, wakes everybody and joins, even while an exception unwinds.

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <vector>

class Pool {
public:
    explicit Pool(unsigned n = std::max(1u, std::thread::hardware_concurrency())) {
        workers_.reserve(n);
        for (unsigned i = 0; i < n; ++i)
            workers_.emplace_back([this](std::stop_token stop) { run(stop); });
    }

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// Queues f; a callable that takes a stop_token is given the worker's.
    /// Jobs still queued when the pool goes away are dropped, and their
    /// futures report broken_promise.
    template <class F>
    auto submit(F&& f) {
        constexpr bool stoppable = std::is_invocable_v<F&, std::stop_token>;
        auto bound = [f = std::forward<F>(f)](std::stop_token st) mutable {
            if constexpr (stoppable)
                return f(st);
            else
                return (void)st, f();
        };
        using R = std::invoke_result_t<decltype(bound)&, std::stop_token>;

        // std::function needs a copyable target; packaged_task is not.
        auto task = std::make_shared<std::packaged_task<R(std::stop_token)>>(std::move(bound));
        auto result = task->get_future();
        {
            std::lock_guard lock(mutex_);
            queue_.push_back([task](std::stop_token st) { (*task)(st); });
        }
        ready_.notify_one();
        return result;
    }

private:
    void run(std::stop_token stop) {
        for (;;) {
            std::function<void(std::stop_token)> job;
            {
                std::unique_lock lock(mutex_);
                // returns false only if a stop was requested while empty
                if (!ready_.wait(lock, stop, [this] { return !queue_.empty(); }))
                    return;
                if (stop.stop_requested())
                    return;
                job = std::move(queue_.front());
                queue_.pop_front();
            }
            job(stop);
        }
    }

    std::mutex mutex_;
    std::condition_variable_any ready_;
    std::deque<std::function<void(std::stop_token)>> queue_;
    std::vector<std::jthread> workers_;  // last member: joined first
};

struct Fletcher {
    std::uint64_t a = 0, b = 0;
    std::size_t n = 0;
};

constexpr std::uint64_t kMod = 65535;

Fletcher fletcher(std::span<const std::uint16_t> words, std::stop_token stop) {
    Fletcher s;
    for (std::uint16_t w : words) {
        if ((s.n & 0xffff) == 0 && stop.stop_requested())
            throw std::runtime_error("checksum cancelled");
        s.a = (s.a + w) % kMod;
        s.b = (s.b + s.a) % kMod;
        ++s.n;
    }
    return s;
}

// Sums of adjacent blocks combine: every word of the second block sees the
// first block's `a` once more.
Fletcher combine(Fletcher x, Fletcher y) {
    return {(x.a + y.a) % kMod, (x.b + y.b + x.a * (y.n % kMod)) % kMod, x.n + y.n};
}

int main() {
    std::vector<std::uint16_t> data(3'000'017);
    std::iota(data.begin(), data.end(), std::uint16_t{11});

    constexpr std::size_t block = 250'000;
    std::vector<std::future<Fletcher>> parts;
    Fletcher total;
    {
        Pool pool(3);
        for (std::size_t at = 0; at < data.size(); at += block) {
            std::span piece(data.data() + at, std::min(block, data.size() - at));
            parts.push_back(pool.submit(
                [piece](std::stop_token st) { return fletcher(piece, st); }));
        }
        for (auto& part : parts)
            total = combine(total, part.get());

        auto failing = pool.submit([]() -> int { throw std::invalid_argument("no data"); });
        try {
            failing.get();
        } catch (const std::invalid_argument& e) {
            std::cout << "job failed as expected: " << e.what() << '\n';
        }
    }

    const Fletcher serial = fletcher(data, {});
    std::cout << std::hex << total.b << ':' << total.a << '\n';
    return serial.a == total.a && serial.b == total.b ? 0 : 1;
}
