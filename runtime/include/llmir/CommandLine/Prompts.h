// Prompts: from what `llmir run` was given (text, files, ids) to the token sequences that are
// served.

#ifndef LLMIR_COMMANDLINE_PROMPTS_H
#define LLMIR_COMMANDLINE_PROMPTS_H

#include "llmir/Base/Status.h"
#include "llmir/CommandLine/RunOptions.h"
#include "llmir/ModelFiles/GGUF.h"
#include "llmir/ModelFiles/Tokenizer.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llmir {

/// A prompt as the model gets it.
struct Prompt {
  std::vector<int32_t> tokens;
  std::string text; ///< What --echo prints: as the user gave it, or decoded from ids.
};

/// The prompts of a run, at least one and none of them empty. The tokenizer's status matters only
/// where text is read, and the metadata's chat template only where it is asked for. Errors name the
/// file and line or the option.
StatusOr<std::vector<Prompt>> readPrompts(const RunOptions &options,
                                          const StatusOr<Tokenizer> &tokenizer,
                                          const GGUFFile &metadata);

/// Token ids of `text`, separated by commas or blanks. InvalidArgument names what is not a number;
/// whether the vocabulary has them is checked later.
StatusOr<std::vector<int32_t>> parseTokenIds(std::string_view text);

/// The lines of `text` without their ends (LF or CR LF); a last line need not have one.
std::vector<std::string_view> splitLines(std::string_view text);

/// A whole file; `-` is the standard input. Errors name the file and the reason.
StatusOr<std::string> readTextFile(const std::string &path);

} // namespace llmir

#endif // LLMIR_COMMANDLINE_PROMPTS_H
