// Splits a server-sent-event stream into events with a C++20 coroutine.
//
// The wire format is line based: "field: value" lines build up an event, a
// blank line dispatches it. Writing the splitter as a generator keeps the
// half-built event in ordinary local variables between dispatches.

#include <coroutine>
#include <exception>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

template <class T>
class Generator {
public:
    struct promise_type {
        std::optional<T> current;
        std::exception_ptr error;

        Generator get_return_object() {
            return Generator{Handle::from_promise(*this)};
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(T value) {
            current = std::move(value);
            return {};
        }
        void return_void() noexcept {}
        void unhandled_exception() { error = std::current_exception(); }
    };

    class Iterator {
    public:
        explicit Iterator(std::coroutine_handle<promise_type> h) : h_(h) {}
        T& operator*() const { return *h_.promise().current; }
        Iterator& operator++() {
            advance(h_);
            return *this;
        }
        bool operator==(std::default_sentinel_t) const { return h_.done(); }

    private:
        std::coroutine_handle<promise_type> h_;
    };

    Generator(Generator&& other) noexcept : h_(std::exchange(other.h_, {})) {}
    Generator& operator=(Generator&&) = delete;
    ~Generator() {
        if (h_)
            h_.destroy();
    }

    Iterator begin() {
        advance(h_);
        return Iterator{h_};
    }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    using Handle = std::coroutine_handle<promise_type>;

    explicit Generator(Handle h) : h_(h) {}

    static void advance(Handle h) {
        h.resume();
        if (h.promise().error)
            std::rethrow_exception(h.promise().error);
    }

    Handle h_;
};

struct Event {
    std::string type = "message";
    std::string data;
    std::string id;
};

// Lines may end in LF or CRLF; a partial last line is still delivered.
Generator<std::string> lines(std::istream& in) {
    for (std::string line; std::getline(in, line);) {
        if (!line.empty() && line.back() == '\r')
            line.pop_back();
        co_yield line;
    }
}

Generator<Event> events(std::istream& in) {
    Event pending;
    bool has_data = false;
    std::string last_id;

    for (const std::string& line : lines(in)) {
        if (line.empty()) {
            if (has_data) {
                pending.id = last_id;
                co_yield std::move(pending);
            }
            pending = Event{};
            has_data = false;
            continue;
        }
        if (line.front() == ':')
            continue;  // a comment, used by servers as a keep-alive

        std::string_view rest = line;
        const auto colon = rest.find(':');
        const auto field = rest.substr(0, colon);
        auto value = colon == rest.npos ? std::string_view{} : rest.substr(colon + 1);
        if (value.starts_with(' '))
            value.remove_prefix(1);

        if (field == "data") {
            if (has_data)
                pending.data += '\n';
            pending.data += value;
            has_data = true;
        } else if (field == "event") {
            pending.type = value;
        } else if (field == "id" && value.find('\0') == value.npos) {
            last_id = value;
        }
        // unknown fields are ignored, as the format asks for
    }
}

int main() {
    std::ios::sync_with_stdio(false);
    std::size_t count = 0;
    for (const Event& e : events(std::cin)) {
        std::cout << '#' << ++count << ' ' << e.type;
        if (!e.id.empty())
            std::cout << " (id " << e.id << ')';
        std::cout << ": " << e.data.size() << " bytes\n";
    }
    return count == 0;
}
