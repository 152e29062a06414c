// ModelSession: a compiled model opened for use by a command: threads, code, weights, tokenizer.
// What `llmir run` and the executable form of a model share.

#ifndef LLMIR_COMMANDLINE_MODELSESSION_H
#define LLMIR_COMMANDLINE_MODELSESSION_H

#include "llmir/ABI.h"
#include "llmir/Base/Status.h"
#include "llmir/CommandLine/RunOptions.h"
#include "llmir/Device/WorkerTeam.h"
#include "llmir/Engine/Generator.h"
#include "llmir/Engine/LoadedModel.h"
#include "llmir/ModelFiles/GGUF.h"
#include "llmir/ModelFiles/Tokenizer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace llmir {

/// The code of the executable form, which is linked into the running program.
struct LinkedModel {
  std::span<const llmir_linked_step> steps;
  uint32_t abiVersion = 0;
};

/// An open model. For the thread that opened it.
class ModelSession {
public:
  /// Starts the threads and loads the model of the options, or the program's own. With --stats the
  /// read bandwidth is measured too. Errors name the file.
  static StatusOr<std::unique_ptr<ModelSession>> open(const RunOptions &options,
                                                      const std::optional<LinkedModel> &linked);
  ModelSession(const ModelSession &) = delete;
  ModelSession &operator=(const ModelSession &) = delete;

  WorkerTeam &team() { return *team_; }
  const LoadedModel &model() const { return *model_; }
  /// Or why there is none: ids can be served all the same.
  const StatusOr<Tokenizer> &tokenizer() const { return tokenizer_; }
  std::vector<int32_t> endOfGenerationTokens() const;
  /// The checkpoint's metadata.
  const GGUFFile &metadata() const { return metadata_; }
  double loadSeconds() const { return loadSeconds_; }
  std::optional<double> readBandwidth() const { return readBandwidth_; }
  /// Tokens that a sequence may have: the model's limit, or less where --context says so.
  int64_t contextLength() const { return contextLength_; }

private:
  ModelSession(std::unique_ptr<WorkerTeam> team, std::unique_ptr<LoadedModel> model,
               GGUFFile metadata, StatusOr<Tokenizer> tokenizer)
      : team_(std::move(team)), model_(std::move(model)), metadata_(std::move(metadata)),
        tokenizer_(std::move(tokenizer)) {}

  std::unique_ptr<WorkerTeam> team_;
  std::unique_ptr<LoadedModel> model_;
  GGUFFile metadata_;
  StatusOr<Tokenizer> tokenizer_;
  double loadSeconds_ = 0.0;
  std::optional<double> readBandwidth_;
  int64_t contextLength_ = 0;
};

/// Caches of the right size for a set of requests, and the generator that serves them.
class GenerationSetup {
public:
  /// The session must outlive the setup. ResourceExhausted when there is no memory.
  static StatusOr<std::unique_ptr<GenerationSetup>>
  create(ModelSession &session, const RunOptions &options,
         std::span<const GenerationRequest> requests);
  GenerationSetup(const GenerationSetup &) = delete;
  GenerationSetup &operator=(const GenerationSetup &) = delete;

  Generator &generator() { return *generator_; }
  std::vector<const PagedKVCache *> caches() const;
  /// Null without --prefix-cache.
  const PrefixTree *prefixTree() const { return prefixTree_.get(); }
  /// Bytes of keys, values and stored scales of one token in all caches.
  int64_t cacheBytesPerToken() const;

private:
  GenerationSetup() = default;
  std::vector<std::unique_ptr<PagedKVCache>> caches_;
  std::unique_ptr<PrefixTree> prefixTree_; ///< Of the only cache.
  std::unique_ptr<Generator> generator_;
};

} // namespace llmir

#endif // LLMIR_COMMANDLINE_MODELSESSION_H
