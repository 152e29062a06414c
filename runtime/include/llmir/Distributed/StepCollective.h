// StepCollective: a Collective as compiled code knows it (llmir_step_args::all_reduce). The call
// has no result, so this keeps the first failure until the caller of the step asks.

#ifndef LLMIR_DISTRIBUTED_STEPCOLLECTIVE_H
#define LLMIR_DISTRIBUTED_STEPCOLLECTIVE_H

#include "llmir/ABI.h"
#include "llmir/Base/Status.h"
#include "llmir/Distributed/Collective.h"

#include <utility>

namespace llmir {

/// Lives as long as the steps whose arguments it fills in; the collective lives longer. One step at
/// a time.
class StepCollective {
public:
  explicit StepCollective(Collective &collective) : collective_(collective) {}

  /// Sets rank, world_size, all_reduce and collective.
  void describeTo(llmir_step_args &args);

  /// The first failure since the last call, which is forgotten. After one, the rest of the step's
  /// sums were not attempted, and its logits mean nothing.
  Status takeStatus() { return std::exchange(status_, Status::ok()); }

private:
  static void allReduceEntry(void *self, float *data, int64_t count);

  Collective &collective_;
  Status status_;
};

} // namespace llmir

#endif // LLMIR_DISTRIBUTED_STEPCOLLECTIVE_H
