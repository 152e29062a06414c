// Comparison and description of calls.

#include "CollectiveCall.h"

namespace llmir {

std::string describe(const CollectiveCall &call) {
  std::string elements = std::to_string(call.amount) + " " + std::string(reduceTypeName(call.type));
  std::string bytes = std::to_string(call.amount) + " bytes";
  switch (call.operation) {
  case CollectiveOperation::AllReduce:
    return "an all-reduce of " + elements;
  case CollectiveOperation::ReduceScatter:
    return "a reduce-scatter of " + elements;
  case CollectiveOperation::AllGather:
    return "an all-gather of " + bytes;
  case CollectiveOperation::Broadcast:
    return "a broadcast of " + bytes + " from rank " + std::to_string(call.root);
  case CollectiveOperation::Barrier:
    return "a barrier";
  }
  return "an unknown operation";
}

Status checkSameCalls(std::span<const CollectiveCall> calls) {
  for (size_t rank = 1; rank < calls.size(); ++rank)
    if (calls[rank] != calls[0])
      return invalidArgument("expected the same call of every rank, but rank 0 asks for " +
                             describe(calls[0]) + " and rank " + std::to_string(rank) + " for " +
                             describe(calls[rank]));
  return Status::ok();
}

} // namespace llmir
