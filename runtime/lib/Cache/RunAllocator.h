// RunAllocator: which runs of 2^n neighbouring units are free. A buddy system over unit numbers
// (Knowlton, 1965): a run starts at a multiple of its size and merges with its neighbour when both
// are free. It holds no memory. Internal to the cache.

#ifndef LLMIR_LIB_CACHE_RUNALLOCATOR_H
#define LLMIR_LIB_CACHE_RUNALLOCATOR_H

#include <cstdint>
#include <optional>
#include <vector>

namespace llmir {

/// Every operation takes time in the number of orders (at most 31), and none allocates after
/// construction.
class RunAllocator {
public:
  RunAllocator() = default;
  /// `numUnits` free units.
  explicit RunAllocator(int32_t numUnits);

  int32_t numUnits() const { return static_cast<int32_t>(units_.size()); }
  int32_t numFree() const { return numFree_; }

  /// The first unit of a run of 2^order, or nothing if no such run is free.
  std::optional<int32_t> allocate(int32_t order);
  /// Gives back a run that allocate() gave, by its first unit and order. False, and nothing is
  /// changed, for what is not such a run.
  bool release(int32_t first, int32_t order);
  /// The largest order of which a run is free; nothing if all is in use.
  std::optional<int32_t> largestFreeOrder() const;

  /// Whether the free lists and the marks of units agree. For tests: linear in the units.
  bool checkInvariants() const;

private:
  static constexpr int32_t none = -1, maxOrder = 30;
  enum class State : uint8_t { Inside, Free, Used };
  /// What is known of the run that starts at a unit; Inside where none does.
  struct Unit {
    State state = State::Inside;
    int8_t order = 0;
    int32_t previous = none; ///< Neighbours in the list of free runs of that order.
    int32_t next = none;
  };

  Unit &unit(int32_t index) { return units_[static_cast<size_t>(index)]; }
  const Unit &unit(int32_t index) const { return units_[static_cast<size_t>(index)]; }
  void link(int32_t first, int32_t order);
  void unlink(int32_t first);

  std::vector<Unit> units_;
  std::vector<int32_t> firstFree_ = std::vector<int32_t>(maxOrder + 1, none); // by order
  int32_t numFree_ = 0;
};

} // namespace llmir

#endif // LLMIR_LIB_CACHE_RUNALLOCATOR_H
