// IndexedHeap: a priority queue of small integers whose keys may change and which may leave from
// the middle. Private to the cache; it knows nothing of what the integers stand for.

#ifndef LLMIR_LIB_CACHE_INDEXEDHEAP_H
#define LLMIR_LIB_CACHE_INDEXEDHEAP_H

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace llmir {

/// Smallest key first. Four children a node: fewer lines of memory are touched than with two.
template <typename Key> class IndexedHeap {
public:
  struct Entry {
    Key key;
    uint32_t item;
  };

  /// Makes room for items below `items`, so that nothing is allocated until one is not.
  void reserve(size_t items) {
    entries_.reserve(items);
    positions_.reserve(items);
  }

  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  const Entry &top() const {
    assert(!empty());
    return entries_.front();
  }
  bool contains(uint32_t item) const {
    return item < positions_.size() && positions_[item] != absent;
  }
  /// In no order that a caller may rely on.
  std::span<const Entry> entries() const { return entries_; }

  /// The key of an item that is there.
  const Key &key(uint32_t item) const {
    assert(contains(item));
    return entries_[positions_[item]].key;
  }

  /// Adds an item, or changes its key.
  void set(uint32_t item, const Key &key) {
    if (item >= positions_.size())
      positions_.resize(item + 1, absent);
    if (positions_[item] == absent) {
      positions_[item] = static_cast<uint32_t>(entries_.size());
      entries_.push_back({key, item});
    }
    place(positions_[item], {key, item});
  }

  /// Takes an item out; nothing happens when it is not there.
  void erase(uint32_t item) {
    if (!contains(item))
      return;
    uint32_t hole = positions_[item];
    positions_[item] = absent;
    Entry last = entries_.back();
    entries_.pop_back();
    if (hole < entries_.size())
      place(hole, last);
  }

  /// Whether every entry is where its position says and no child is before its parent.
  bool isConsistent() const {
    size_t present = 0;
    for (uint32_t position : positions_)
      present += position != absent ? 1 : 0;
    for (size_t i = 0; i < entries_.size(); ++i)
      if (positions_[entries_[i].item] != i ||
          (i > 0 && entries_[i].key < entries_[(i - 1) / arity].key))
        return false;
    return present == entries_.size();
  }

private:
  static constexpr uint32_t absent = ~uint32_t(0);
  static constexpr size_t arity = 4;

  void store(size_t position, const Entry &entry) {
    entries_[position] = entry;
    positions_[entry.item] = static_cast<uint32_t>(position);
  }

  /// Puts `entry` where it belongs, from the hole at `position` upwards or downwards.
  void place(size_t position, const Entry &entry) {
    while (position > 0 && entry.key < entries_[(position - 1) / arity].key) {
      store(position, entries_[(position - 1) / arity]);
      position = (position - 1) / arity;
    }
    while (true) {
      size_t first = position * arity + 1, least = first;
      if (first >= entries_.size())
        break;
      for (size_t child = first + 1; child < entries_.size() && child < first + arity; ++child)
        if (entries_[child].key < entries_[least].key)
          least = child;
      if (!(entries_[least].key < entry.key))
        break;
      store(position, entries_[least]);
      position = least;
    }
    store(position, entry);
  }

  std::vector<Entry> entries_;
  std::vector<uint32_t> positions_; // of items in entries_
};

} // namespace llmir

#endif // LLMIR_LIB_CACHE_INDEXEDHEAP_H
