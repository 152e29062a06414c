// Allocates a step's memory once and starts the parallel region that runs the compiled step.

#include "llmir/Engine/StepRunner.h"

#include "llmir/Engine/LoadedModel.h"

#include <cassert>
#include <string>

namespace llmir {

StepProgram stepProgramOf(const LoadedModel &model) {
  const Manifest &manifest = model.manifest();
  return {model.step(),       model.weights(), manifest.vocabularySize, manifest.maxSequenceLength,
          manifest.workspace, manifest.caches, manifest.rank,           manifest.worldSize};
}

static Status checkRank(const StepProgram &program, const Collective *collective) {
  int64_t rank = collective ? collective->rank() : 0;
  int64_t size = collective ? collective->size() : 1;
  if (rank == program.rank && size == program.worldSize)
    return Status::ok();
  return failedPrecondition("the model was compiled for rank " + std::to_string(program.rank) +
                            " of " + std::to_string(program.worldSize) + ", but this is rank " +
                            std::to_string(rank) + " of " + std::to_string(size));
}

StatusOr<std::unique_ptr<StepRunner>> StepRunner::create(const StepProgram &program,
                                                         WorkerTeam &team,
                                                         std::span<PagedKVCache *const> caches,
                                                         const StepSize &largest,
                                                         Collective *collective) {
  if (largest.tokens <= 0 || largest.sequences <= 0 || largest.rows <= 0)
    return invalidArgument("expected the largest step to have a positive size, but got " +
                           std::to_string(largest.tokens) + " tokens of " +
                           std::to_string(largest.sequences) + " sequences and " +
                           std::to_string(largest.rows) + " rows");
  if (caches.size() != program.caches.size())
    return invalidArgument("expected " + std::to_string(program.caches.size()) +
                           " KV caches, but got " + std::to_string(caches.size()));
  for (size_t i = 0; i < caches.size(); ++i) {
    LLMIR_RETURN_IF_ERROR(caches[i]->status());
    StatusOr<llmir_cache_layout> expected = makeCacheLayout(program.caches[i]);
    if (!expected)
      return expected.status();
    LLMIR_RETURN_IF_ERROR(checkSameLayout(caches[i]->layout(), *expected));
    LLMIR_RETURN_IF_ERROR(
        caches[i]->checkConstantScales().withContext("cache " + std::to_string(i)));
  }

  LLMIR_RETURN_IF_ERROR(checkRank(program, collective));
  BatchLimits limits{largest.tokens, largest.sequences, largest.rows, program.vocabularySize,
                     program.maxSequenceLength};
  std::unique_ptr<StepRunner> runner(new StepRunner(program, team, caches, limits));
  StatusOr<HostMemory> workspace = HostMemory::allocate(static_cast<size_t>(
      program.workspace.bytes(largest.tokens, largest.sequences, largest.rows, team.size())));
  if (!workspace)
    return workspace.status().withContext("cannot allocate the workspace of a step");
  StatusOr<HostMemory> logits = HostMemory::allocate(
      static_cast<size_t>(largest.rows * program.vocabularySize) * sizeof(float));
  if (!logits)
    return logits.status().withContext("cannot allocate the logits of a step");
  runner->workspace_ = std::move(*workspace);
  runner->logits_ = std::move(*logits);
  if (program.worldSize > 1) {
    runner->collective_ = collective;
    runner->sums_.emplace(*collective);
  }
  return runner;
}

Status StepRunner::reserve() {
  Status mine = batch_.reserve(caches_);
  if (!collective_)
    return mine;
  Status everybody = collective_->agree(mine);
  if (mine.isOk() && !everybody.isOk())
    LLMIR_RETURN_IF_ERROR(batch_.unreserve(caches_));
  return everybody;
}

Status StepRunner::run() {
  LLMIR_RETURN_IF_ERROR(reserve());
  llmir_step_args args = batch_.stepArguments();
  args.logits = reinterpret_cast<float *>(logits_.data());
  args.weights = program_.weights;
  args.workspace = workspace_.data();
  args.barrier = &WorkerTeam::barrierEntry;
  args.team = &team_;
  if (sums_)
    sums_->describeTo(args);
  team_.run([&](int32_t worker) { program_.step(&args, worker, team_.size()); });
  if (!sums_)
    return Status::ok();
  Status sums = sums_->takeStatus();
  if (!sums.isOk())
    LLMIR_RETURN_IF_ERROR(batch_.unreserve(caches_));
  return sums;
}

std::span<const float> StepRunner::logits(int64_t row) const {
  assert(row >= 0 && row < batch_.numRows() && "no such row");
  return {reinterpret_cast<const float *>(logits_.data()) + row * program_.vocabularySize,
          static_cast<size_t>(program_.vocabularySize)};
}

} // namespace llmir
