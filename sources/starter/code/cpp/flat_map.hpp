// flat_map.hpp - an ordered map kept in one sorted vector.
//
// Suited to small or rarely changed tables: look-ups are a binary search in
// contiguous memory, insertion is linear. Heterogeneous look-up is enabled
// when the comparator is transparent, so that a map keyed by std::string
// can be asked for a std::string_view without building a temporary.
#pragma once

#include <algorithm>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace util {

template <class C>
concept transparent = requires { typename C::is_transparent; };

template <class Key, class T, class Compare = std::less<>>
class flat_map {
public:
    using value_type = std::pair<Key, T>;
    using storage = std::vector<value_type>;
    using iterator = typename storage::iterator;
    using const_iterator = typename storage::const_iterator;

    flat_map() = default;
    explicit flat_map(Compare cmp) : cmp_(std::move(cmp)) {}

    // Later duplicates win, as with repeated insert_or_assign.
    flat_map(std::initializer_list<value_type> init, Compare cmp = {})
        : rows_(init), cmp_(std::move(cmp)) {
        std::stable_sort(rows_.begin(), rows_.end(), row_less());
        auto out = rows_.begin();
        for (auto it = rows_.begin(); it != rows_.end(); ++it) {
            auto next = std::next(it);
            if (next != rows_.end() && !cmp_(it->first, next->first))
                continue;
            if (out != it)
                *out = std::move(*it);
            ++out;
        }
        rows_.erase(out, rows_.end());
    }

    [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }
    void reserve(std::size_t n) { rows_.reserve(n); }

    const_iterator begin() const noexcept { return rows_.begin(); }
    const_iterator end() const noexcept { return rows_.end(); }

    template <class K>
        requires std::same_as<K, Key> || transparent<Compare>
    [[nodiscard]] const_iterator find(const K& key) const {
        auto it = lower(rows_, key);
        return it != rows_.end() && !cmp_(key, it->first) ? it : rows_.end();
    }

    template <class K>
        requires std::same_as<K, Key> || transparent<Compare>
    [[nodiscard]] bool contains(const K& key) const {
        return find(key) != end();
    }

    template <class K>
    [[nodiscard]] const T& at(const K& key) const {
        if (auto it = find(key); it != end())
            return it->second;
        throw std::out_of_range("flat_map::at: no such key");
    }

    // Returns the mapped value and whether it was newly created. The value
    // is constructed only if the key is absent.
    template <class... Args>
    std::pair<T&, bool> try_emplace(Key key, Args&&... args) {
        auto it = lower(rows_, key);
        if (it != rows_.end() && !cmp_(key, it->first))
            return {it->second, false};
        it = rows_.emplace(it, std::piecewise_construct,
                           std::forward_as_tuple(std::move(key)),
                           std::forward_as_tuple(std::forward<Args>(args)...));
        return {it->second, true};
    }

    T& operator[](Key key)
        requires std::default_initializable<T>
    {
        return try_emplace(std::move(key)).first;
    }

    // Removes the row and hands its value to the caller.
    template <class K>
    std::optional<T> extract(const K& key) {
        auto it = lower(rows_, key);
        if (it == rows_.end() || cmp_(key, it->first))
            return std::nullopt;
        std::optional<T> out(std::move(it->second));
        rows_.erase(it);
        return out;
    }

    // Linear merge; on equal keys, the row of *this is kept.
    void merge(flat_map&& other) {
        const auto old = static_cast<std::ptrdiff_t>(rows_.size());
        rows_.insert(rows_.end(), std::make_move_iterator(other.rows_.begin()),
                     std::make_move_iterator(other.rows_.end()));
        other.rows_.clear();
        std::inplace_merge(rows_.begin(), rows_.begin() + old, rows_.end(), row_less());
        auto same = [this](const value_type& a, const value_type& b) {
            return !cmp_(a.first, b.first);
        };
        rows_.erase(std::unique(rows_.begin(), rows_.end(), same), rows_.end());
    }

private:
    auto row_less() const {
        return [this](const value_type& a, const value_type& b) {
            return cmp_(a.first, b.first);
        };
    }

    template <class Rows, class K>
    auto lower(Rows& rows, const K& key) const {
        return std::lower_bound(rows.begin(), rows.end(), key,
                                [this](const value_type& row, const K& k) {
                                    return cmp_(row.first, k);
                                });
    }

    storage rows_;
    [[no_unique_address]] Compare cmp_{};
};

}  // namespace util
