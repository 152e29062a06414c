// What a rank asks its group for: compared between the ranks before anything moves, so that a
// mismatch is an error everywhere and not a wait or a wrong sum.

#ifndef LLMIR_LIB_DISTRIBUTED_COLLECTIVECALL_H
#define LLMIR_LIB_DISTRIBUTED_COLLECTIVECALL_H

#include "llmir/Base/Status.h"
#include "llmir/Distributed/Collective.h"

#include <cstdint>
#include <span>
#include <string>

namespace llmir {

enum class CollectiveOperation : uint32_t {
  AllReduce,
  ReduceScatter,
  AllGather,
  Broadcast,
  Barrier
};

/// One call, as plain bytes that can be sent.
struct CollectiveCall {
  CollectiveOperation operation = CollectiveOperation::Barrier;
  ReduceType type = ReduceType::F32; ///< Of sums only.
  int64_t amount = 0;                ///< Elements of a sum, else bytes.
  int64_t root = 0;                  ///< Of a broadcast only.

  friend bool operator==(const CollectiveCall &, const CollectiveCall &) = default;
};

/// `all-reduce of 16 f32`, for messages.
std::string describe(const CollectiveCall &call);

/// Ok when all ranks make the same call; otherwise InvalidArgument with the first two that differ.
Status checkSameCalls(std::span<const CollectiveCall> calls);

} // namespace llmir

#endif // LLMIR_LIB_DISTRIBUTED_COLLECTIVECALL_H
