// GenerationOutput: prints what requests generate, each as it comes when its turn is, in the order
// of the requests although they are served together. Collects logits in the same order.

#ifndef LLMIR_COMMANDLINE_GENERATIONOUTPUT_H
#define LLMIR_COMMANDLINE_GENERATIONOUTPUT_H

#include "llmir/CommandLine/NpyWriter.h"
#include "llmir/CommandLine/Prompts.h"
#include "llmir/CommandLine/Terminal.h"
#include "llmir/Engine/GenerationRequest.h"
#include "llmir/ModelFiles/Tokenizer.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace llmir {

/// What is printed for each request.
enum class OutputForm {
  Text,     ///< The continuation, ending in a newline.
  Sections, ///< The same under a line `=== prompt N ===`, with an empty line between.
  TokenIds  ///< The generated ids, separated by commas, on a line.
};

struct GenerationOutputOptions {
  OutputForm form = OutputForm::Text;
  bool echoesPrompt = false;
};

/// Prints the first request that has not ended as its tokens come, and keeps what later ones have
/// generated until their turn. Stops the run when the reader has gone or the user interrupts.
class GenerationOutput : public GenerationListener {
public:
  /// All must outlive the output; `logits` may be null, and `tokenizer` where ids are printed.
  GenerationOutput(std::span<const Prompt> prompts, const Tokenizer *tokenizer,
                   OutputStream &stream, NpyWriter *logits, const GenerationOutputOptions &options);

  Proceed beforeStep() override;
  Status onLogits(size_t request, std::span<const float> row) override;
  Status onToken(size_t request, const GeneratedToken &token) override;
  Status onFinish(size_t request, FinishReason reason) override;

private:
  struct State {
    std::optional<StreamDecoder> decoder;
    std::string text;        ///< Not printed yet.
    std::vector<float> rows; ///< Not written yet.
    bool hasTokens = false;
    bool hasEnded = false;
  };
  Status begin();

  std::span<const Prompt> prompts_;
  OutputStream &stream_;
  NpyWriter *logits_;
  GenerationOutputOptions options_;
  std::vector<State> states_;
  size_t current_ = 0; ///< The request whose turn it is.
  bool hasBegun_ = false;
};

} // namespace llmir

#endif // LLMIR_COMMANDLINE_GENERATIONOUTPUT_H
