// The C entry point behind llmir_step_args::all_reduce.

#include "llmir/Distributed/StepCollective.h"

#include "RankOrderSum.h"

#include <string>

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
    step.status_ = step.add(data, count);
}

Status StepCollective::add(float *data, int64_t count) {
  if (arrays_ == collective_.memory())
    return collective_.allReduceSum(data, count, ReduceType::F32);
  if (arrays_ == CollectiveMemory::Device)
    return failedPrecondition("expected a collective over device memory for a step on a device, "
                              "but got one over " +
                              std::string(collective_.transport()));
  auto size = static_cast<size_t>(collective_.size());
  gathered_.resize(size * static_cast<size_t>(count));
  LLMIR_RETURN_IF_ERROR(collective_.allGatherHost(data, gathered_.data(),
                                                  count * static_cast<int64_t>(sizeof(float))));
  parts_.clear();
  for (size_t rank = 0; rank < size; ++rank)
    parts_.push_back(gathered_.data() + rank * static_cast<size_t>(count));
  void *sum = data;
  sumInRankOrder(parts_, {0, count}, {&sum, 1}, 0, ReduceType::F32);
  return Status::ok();
}

} // namespace llmir
