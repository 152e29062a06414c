// The C entry point behind llmir_step_args::all_reduce.

#include "llmir/Distributed/StepCollective.h"

namespace llmir {

void StepCollective::describeTo(llmir_step_args &args) {
  args.rank = collective_.rank();
  args.world_size = collective_.size();
  args.all_reduce = &allReduceEntry;
  args.collective = this;
}

void StepCollective::allReduceEntry(void *self, float *data, int64_t count) {
  auto &step = *static_cast<StepCollective *>(self);
  // Every rank sees the same failure of a sum, so all of them skip the rest.
  if (step.status_.isOk())
    step.status_ = step.collective_.allReduceSum(data, count, ReduceType::F32);
}

} // namespace llmir
