// NodeReuse: the entries that left a map, kept for the next ones that come, so that a map whose
// entries come and go allocates nothing once it has been at its largest. It owns no map; one is
// passed to each call.

#ifndef LLMIR_BASE_NODEREUSE_H
#define LLMIR_BASE_NODEREUSE_H

#include <utility>
#include <vector>

namespace llmir {

/// For maps with node handles (std::map, std::unordered_map). What a value owns stays with it, so
/// that its vectors keep their room.
template <typename Map> class NodeReuse {
public:
  /// The entry of `key`, and whether it is new; a new one has the value that some entry had when it
  /// was erased, or a value of its type's default: the caller resets it.
  std::pair<typename Map::iterator, bool> add(Map &map, const typename Map::key_type &key) {
    auto found = map.find(key);
    if (found != map.end())
      return {found, false};
    if (nodes_.empty())
      return map.try_emplace(key);
    typename Map::node_type node = std::move(nodes_.back());
    nodes_.pop_back();
    node.key() = key;
    return {map.insert(std::move(node)).position, true};
  }

  /// Takes an entry out and keeps it. Returns the one after it.
  typename Map::iterator erase(Map &map, typename Map::iterator entry) {
    auto next = std::next(entry);
    nodes_.push_back(map.extract(entry));
    return next;
  }

private:
  std::vector<typename Map::node_type> nodes_;
};

} // namespace llmir

#endif // LLMIR_BASE_NODEREUSE_H
