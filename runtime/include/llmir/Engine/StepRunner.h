// StepRunner: runs steps of a compiled model: a batch in, rows of logits out. It owns the workspace
// and the logits, allocated once for the largest step; it knows nothing of requests.

#ifndef LLMIR_ENGINE_STEPRUNNER_H
#define LLMIR_ENGINE_STEPRUNNER_H

#include "llmir/ABI.h"
#include "llmir/Base/Status.h"
#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Device/HostMemory.h"
#include "llmir/Device/WorkerTeam.h"
#include "llmir/Distributed/StepCollective.h"
#include "llmir/Engine/Batch.h"
#include "llmir/Engine/Manifest.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace llmir {

class LoadedModel;

/// What running a model's step takes. The code and the weights belong to somebody who outlives it.
struct StepProgram {
  llmir_step_fn step = nullptr;
  const uint8_t *weights = nullptr;
  int64_t vocabularySize = 0;
  int64_t maxSequenceLength = 0;
  WorkspaceContract workspace;
  std::vector<CacheParameters> caches; ///< What the step was compiled for, in its order.
  int64_t rank = 0;                    ///< Which part of the model this is.
  int64_t worldSize = 1;
};

/// The step of a loaded model, which must outlive what is made from it.
StepProgram stepProgramOf(const LoadedModel &model);

/// The largest step to be run.
struct StepSize {
  int64_t tokens = 0;
  int64_t sequences = 0;
  int64_t rows = 0;
};

/// Runs one step at a time; for the thread that made the team. A model divided among ranks runs
/// where every rank's runner makes the same steps.
class StepRunner {
public:
  /// Allocates workspace and logits for steps up to `largest`. InvalidArgument for sizes that are
  /// not positive, ResourceExhausted when there is no memory. The team and the caches (one for each
  /// of the program's) must outlive the runner, and so must the collective, which is needed when
  /// the program is one rank's part: FailedPrecondition when it is another rank or size.
  static StatusOr<std::unique_ptr<StepRunner>> create(const StepProgram &program, WorkerTeam &team,
                                                      std::span<PagedKVCache *const> caches,
                                                      const StepSize &largest,
                                                      Collective *collective = nullptr);

  /// The batch of the next step: clear it, add to it, then run().
  Batch &batch() { return batch_; }

  /// The workers that run the steps.
  WorkerTeam &team() { return team_; }

  /// Reserves room in the caches and runs the step of batch(). Errors are Batch::reserve's, and
  /// nothing has run then. With other ranks, the first rank's error is everybody's, before the step
  /// or in it; room that was made is given back.
  Status run();

  /// A row of logits [vocabulary size] of the last step; valid until the next one.
  std::span<const float> logits(int64_t row) const;

private:
  Status reserve();
  StepRunner(const StepProgram &program, WorkerTeam &team, std::span<PagedKVCache *const> caches,
             const BatchLimits &limits)
      : program_(program), team_(team), caches_(caches.begin(), caches.end()), batch_(limits) {}

  StepProgram program_;
  WorkerTeam &team_;
  std::vector<PagedKVCache *> caches_;
  Batch batch_;
  Collective *collective_ = nullptr;
  std::optional<StepCollective> sums_;
  HostMemory workspace_;
  HostMemory logits_;
};

} // namespace llmir

#endif // LLMIR_ENGINE_STEPRUNNER_H
