// RunAllocator: splitting and merging of runs.

#include "RunAllocator.h"

#include <bit>

namespace llmir {

RunAllocator::RunAllocator(int32_t numUnits) : units_(static_cast<size_t>(numUnits)) {
  // The units as the largest aligned runs; linked from the end, so that low ones go first.
  std::vector<int32_t> starts;
  for (int32_t first = 0; first < numUnits;) {
    auto rest = static_cast<uint32_t>(numUnits - first);
    int32_t order = std::bit_width(rest) - 1;
    if (first > 0)
      order = std::min(order, std::countr_zero(static_cast<uint32_t>(first)));
    starts.push_back(first);
    unit(first).order = static_cast<int8_t>(order);
    first += int32_t(1) << order;
  }
  for (size_t i = starts.size(); i > 0; --i)
    link(starts[i - 1], unit(starts[i - 1]).order);
}

void RunAllocator::link(int32_t first, int32_t order) {
  Unit &run = unit(first);
  int32_t &head = firstFree_[static_cast<size_t>(order)];
  run = {State::Free, static_cast<int8_t>(order), none, head};
  if (head != none)
    unit(head).previous = first;
  head = first;
  numFree_ += int32_t(1) << order;
}

void RunAllocator::unlink(int32_t first) {
  Unit &run = unit(first);
  if (run.previous == none)
    firstFree_[static_cast<size_t>(run.order)] = run.next;
  else
    unit(run.previous).next = run.next;
  if (run.next != none)
    unit(run.next).previous = run.previous;
  numFree_ -= int32_t(1) << run.order;
  run = {};
}

std::optional<int32_t> RunAllocator::allocate(int32_t order) {
  int32_t from = order;
  while (from <= maxOrder && firstFree_[static_cast<size_t>(from)] == none)
    ++from;
  if (order < 0 || from > maxOrder)
    return std::nullopt;
  int32_t first = firstFree_[static_cast<size_t>(from)];
  unlink(first);
  // The upper halves stay free.
  for (; from > order; --from)
    link(first + (int32_t(1) << (from - 1)), from - 1);
  unit(first).state = State::Used;
  unit(first).order = static_cast<int8_t>(order);
  return first;
}

bool RunAllocator::release(int32_t first, int32_t order) {
  if (first < 0 || first >= numUnits() || unit(first).state != State::Used ||
      unit(first).order != order)
    return false;
  unit(first) = {};
  for (; order < maxOrder; ++order) {
    int32_t buddy = first ^ (int32_t(1) << order);
    if (buddy >= numUnits() || unit(buddy).state != State::Free || unit(buddy).order != order)
      break;
    unlink(buddy);
    first = first < buddy ? first : buddy;
  }
  link(first, order);
  return true;
}

std::optional<int32_t> RunAllocator::largestFreeOrder() const {
  for (int32_t order = maxOrder; order >= 0; --order)
    if (firstFree_[static_cast<size_t>(order)] != none)
      return order;
  return std::nullopt;
}

bool RunAllocator::checkInvariants() const {
  int32_t free = 0;
  for (int32_t first = 0; first < numUnits();) {
    const Unit &run = unit(first);
    int32_t size = int32_t(1) << run.order;
    if (run.state == State::Inside || first % size != 0 || size > numUnits() - first)
      return false;
    for (int32_t i = first + 1; i < first + size; ++i)
      if (unit(i).state != State::Inside)
        return false;
    if (run.state == State::Free) {
      free += size;
      int32_t buddy = first ^ size;
      // Two free halves would have merged.
      if (buddy + size <= numUnits() && unit(buddy).state == State::Free &&
          unit(buddy).order == run.order)
        return false;
    }
    first += size;
  }
  int32_t listed = 0;
  for (int32_t order = 0; order <= maxOrder; ++order)
    for (int32_t i = firstFree_[static_cast<size_t>(order)]; i != none; i = unit(i).next) {
      if (unit(i).state != State::Free || unit(i).order != order)
        return false;
      listed += int32_t(1) << order;
    }
  return free == numFree_ && listed == numFree_;
}

} // namespace llmir
