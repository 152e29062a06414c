// LoadedModel: an artifact (docs/Artifact.md) made ready to run: checked against this host, its
// code loaded, its weights copied into huge pages. It runs nothing itself.

#ifndef LLMIR_ENGINE_LOADEDMODEL_H
#define LLMIR_ENGINE_LOADEDMODEL_H

#include "llmir/ABI.h"
#include "llmir/Base/Status.h"
#include "llmir/Device/CPUFeatures.h"
#include "llmir/Device/HostMemory.h"
#include "llmir/Device/WorkerTeam.h"
#include "llmir/Engine/Manifest.h"
#include "llmir/ProfileABI.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace llmir {

/// Whether the weights are compared with the manifest's hash while loading.
enum class WeightCheck { Skip, Verify };

struct LoadOptions {
  /// Copies the weights, each worker a share of whole huge pages, so that they are spread over the
  /// workers' memory nodes; the calling thread alone when null. Not kept.
  WorkerTeam *team = nullptr;
  WeightCheck weightCheck = WeightCheck::Skip;
  /// Told (bytes done, bytes in all) as the weights are copied, from the calling thread.
  std::function<void(int64_t done, int64_t total)> progress;
  /// The features to check against; the host's own when null.
  const CPUFeatures *features = nullptr;
  /// Of a model with several versions the one to take, by its level; empty: the best for the host.
  std::string level;
};

/// A model that is ready to run. Immutable, so any thread may read it; its memory and code live as
/// long as it does.
class LoadedModel {
public:
  /// Loads the artifact at `path`. NotFound for no such file; DataLoss for a damaged one (names the
  /// section or field); FailedPrecondition for another ABI version or a host without a feature that
  /// the code needs (named).
  static StatusOr<std::unique_ptr<LoadedModel>> open(const std::string &path,
                                                     const LoadOptions &options = {});
  /// The same for the running program, whose file has the sections and whose code is linked in.
  static StatusOr<std::unique_ptr<LoadedModel>> openSelf(std::span<const llmir_linked_step> steps,
                                                         uint32_t abiVersion,
                                                         const LoadOptions &options = {});
  /// Reads and checks the manifest alone: what `inspect` needs, on any host.
  static StatusOr<Manifest> readManifest(const std::string &path);

  ~LoadedModel();
  LoadedModel(const LoadedModel &) = delete;
  LoadedModel &operator=(const LoadedModel &) = delete;

  /// Features and workspace are those of the version that was chosen.
  const Manifest &manifest() const { return manifest_; }
  /// The level of the chosen version; empty when the model has but one.
  const std::string &level() const { return level_; }
  /// The compiled step; call it from every worker.
  llmir_step_fn step() const { return step_; }
  /// The step with clocks and the table of its calls as JSON; null unless the file was compiled for
  /// profiling.
  llmir_profile_fn profile() const { return profile_; }
  const char *profileTable() const { return profileTable_; }
  /// Packed weights, aligned to a huge page.
  const uint8_t *weights() const { return weights_.data(); }
  /// The tokenizer section: a GGUF file without tensors. In memory as long as the model.
  std::span<const uint8_t> tokenizer() const;
  /// One layout for each cache of a step, in its order.
  const std::vector<llmir_cache_layout> &cacheLayouts() const { return cacheLayouts_; }
  /// Bytes of workspace for a step of that size, rounded up to LLMIR_ALIGNMENT.
  int64_t workspaceBytes(int64_t tokens, int64_t sequences, int64_t rows, int64_t workers) const;

private:
  struct File;
  LoadedModel();
  Status loadCode(const std::string &path);
  Status chooseVersion(const LoadOptions &options);
  Status loadSections(const std::string &path, const LoadOptions &options);
  Status loadWeights(const LoadOptions &options);

  std::unique_ptr<File> file_;
  Manifest manifest_;
  std::vector<llmir_cache_layout> cacheLayouts_;
  HostMemory weights_;
  std::string level_, stepSymbol_;
  llmir_step_fn step_ = nullptr;
  llmir_profile_fn profile_ = nullptr;
  const char *profileTable_ = nullptr;
};

} // namespace llmir

#endif // LLMIR_ENGINE_LOADEDMODEL_H
