// RunOptions: what `llmir run` was asked to do, as a record, and its declaration on a CLI11 parser.
// Shared by `llmir run` and by the executable form of a model.

#ifndef LLMIR_COMMANDLINE_RUNOPTIONS_H
#define LLMIR_COMMANDLINE_RUNOPTIONS_H

#include "llmir/Base/Status.h"
#include "llmir/Engine/GenerationRequest.h"

#include <cstdint>
#include <optional>
#include <string>

namespace CLI {
class App;
} // namespace CLI

namespace llmir {

/// Form of the figures that a run prints to the standard error when it ends.
enum class StatsForm { None, Text, JSON };

struct RunOptions {
  std::string modelPath; ///< Empty in the executable form.

  // Where the prompts come from: exactly one of these.
  std::optional<std::string> prompt;
  std::optional<std::string> promptFile;
  std::optional<std::string> tokens; ///< Ids, or @FILE.
  std::optional<std::string> batchFile;
  std::optional<std::string> perplexityFile;

  // How they are read.
  bool usesChatTemplate = false;
  std::optional<std::string> systemMessage;

  // How they are continued.
  int64_t numTokens = 128; ///< -1: until the context ends.
  float temperature = 0.0f;
  int32_t topK = 0;
  float topP = 1.0f;
  std::optional<uint64_t> seed;
  bool ignoresEndOfGeneration = false;

  // How the work is done.
  int32_t threads = 0; ///< 0: one for each CPU.
  std::string level;   ///< Of a model with several versions; empty: the best for this host.
  int64_t chunk = 512;
  std::optional<int64_t> contextLength;
  std::optional<int64_t> kvBlocks;
  /// Hand the cache's blocks out in a random order; what is printed must not change.
  std::optional<uint64_t> shuffleBlocks;
  bool verifiesWeights = false;
  bool usesPrefixCache = false;

  // What is printed or written.
  bool echoesPrompt = false;
  bool printsTokens = false;
  std::optional<std::string> logitsPath;
  std::optional<std::string> cacheDumpPath;
  std::optional<int64_t> maxTokens; ///< Of the perplexity's text.
  StatsForm stats = StatsForm::None;
};

/// Whether the model is an argument or the running program itself.
enum class ModelSource { Argument, Program };

/// Declares the options on `app`, which writes them into `options` when it parses. Both must live
/// until then.
void addRunOptions(CLI::App &app, RunOptions &options, ModelSource source);

/// What CLI11 cannot check: which options go together, and ranges. InvalidArgument names the
/// options.
Status checkRunOptions(const RunOptions &options);

/// The sampling that the options ask for, with `seed` where none was given.
SamplingParameters samplingOf(const RunOptions &options, uint64_t seed);

} // namespace llmir

#endif // LLMIR_COMMANDLINE_RUNOPTIONS_H
