// The sum of several ranks' elements in the order of the ranks: the arithmetic of every reduction,
// wherever the elements came from.

#ifndef LLMIR_LIB_DISTRIBUTED_RANKORDERSUM_H
#define LLMIR_LIB_DISTRIBUTED_RANKORDERSUM_H

#include "llmir/Distributed/Collective.h"

#include <cstdint>
#include <span>

namespace llmir {

/// Elements `first` .. `first + count - 1` of arrays.
struct SumRange {
  int64_t first = 0;
  int64_t count = 0;
};

/// For each i below the range's count: adds element first + i of inputs[0], inputs[1], … in that
/// order and stores the sum as element outputFirst + i of every output. An output may be an input
/// if both are at the same place; otherwise they do not overlap.
void sumInRankOrder(std::span<const void *const> inputs, SumRange range,
                    std::span<void *const> outputs, int64_t outputFirst, ReduceType type);

} // namespace llmir

#endif // LLMIR_LIB_DISTRIBUTED_RANKORDERSUM_H
