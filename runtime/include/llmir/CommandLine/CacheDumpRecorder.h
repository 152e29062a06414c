// CacheDumpRecorder: what a run's KV cache looked like when it was fullest (`llmir run
// --dump-cache`). It looks on from between the generator and the listener that it stands for.

#ifndef LLMIR_COMMANDLINE_CACHEDUMPRECORDER_H
#define LLMIR_COMMANDLINE_CACHEDUMPRECORDER_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/CacheDump.h"
#include "llmir/Engine/GenerationRequest.h"

#include <cstdint>
#include <string>
#include <vector>

namespace llmir {

/// Of several caches it records the one of which most is used. For one run, on its thread.
class CacheDumpRecorder final : public GenerationListener {
public:
  /// Hands everything on to `listener`; it and the caches outlive the recorder.
  /// `tree` is that of one of them, or null.
  CacheDumpRecorder(std::vector<const PagedKVCache *> caches, const PrefixTree *tree,
                    GenerationListener &listener)
      : caches_(std::move(caches)), tree_(tree), listener_(listener) {}

  Proceed beforeStep() override;
  Status onLogits(size_t request, std::span<const float> row) override;
  Status onToken(size_t request, const GeneratedToken &token) override;
  Status onFinish(size_t request, FinishReason reason) override;

  /// Writes what was recorded, or the pool as it is if it was never used, into a file: as a picture
  /// if its name ends in `.svg`, else as JSON.
  Status write(const std::string &path);

private:
  void observe();
  Status record(const PagedKVCache &cache, std::string source);

  std::vector<const PagedKVCache *> caches_;
  const PrefixTree *tree_;
  GenerationListener &listener_;
  CacheDump dump_;
  Status status_; ///< Of recording.
  double fullest_ = 0.0;
  int64_t numSteps_ = 0;
};

} // namespace llmir

#endif // LLMIR_COMMANDLINE_CACHEDUMPRECORDER_H
