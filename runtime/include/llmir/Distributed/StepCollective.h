// StepCollective: a Collective as compiled code knows it (llmir_step_args::all_reduce). The call
// has no result, so this keeps the first failure until the caller of the step asks.

#ifndef LLMIR_DISTRIBUTED_STEPCOLLECTIVE_H
#define LLMIR_DISTRIBUTED_STEPCOLLECTIVE_H

#include "llmir/ABI.h"
#include "llmir/Base/Status.h"
#include "llmir/Distributed/Collective.h"

#include <utility>
#include <vector>

namespace llmir {

/// Lives as long as the steps whose arguments it fills in; the collective lives longer. One step at
/// a time.
class StepCollective {
public:
  /// `arrays`: where the step's arrays lie. Those in host memory are added up here, in rank order,
  /// when the collective is over device memory.
  explicit StepCollective(Collective &collective, CollectiveMemory arrays = CollectiveMemory::Host)
      : collective_(collective), arrays_(arrays) {}

  /// Sets rank, world_size, all_reduce and collective.
  void describeTo(llmir_step_args &args);

  /// The first failure since the last call, which is forgotten. After one, the rest of the step's
  /// sums were not attempted, and its logits mean nothing.
  Status takeStatus() { return std::exchange(status_, Status::ok()); }

private:
  static void allReduceEntry(void *self, float *data, int64_t count);
  Status add(float *data, int64_t count);

  Collective &collective_;
  CollectiveMemory arrays_;
  Status status_;
  std::vector<float> gathered_; ///< [ranks][count]
  std::vector<const void *> parts_;
};

} // namespace llmir

#endif // LLMIR_DISTRIBUTED_STEPCOLLECTIVE_H
