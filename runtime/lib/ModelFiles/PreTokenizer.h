// PreTokenizer: cuts text into the pieces within which BPE merges. Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_PRETOKENIZER_H
#define LLMIR_LIB_MODELFILES_PRETOKENIZER_H

#include "llmir/Base/Status.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace llmir {

/// A compiled regular expression whose matches are the pieces. Immutable; threads may share it.
class PreTokenizer {
public:
  /// `name` is the value of `tokenizer.ggml.pre`. Unimplemented, with the known names, for another.
  static StatusOr<std::unique_ptr<const PreTokenizer>> create(std::string_view name);
  ~PreTokenizer();

  /// Calls `piece` with consecutive, non-empty pieces that together are `text`. Bytes that are not
  /// UTF-8 form pieces of their own.
  void split(std::string_view text, const std::function<void(std::string_view)> &piece) const;

private:
  struct Compiled;
  explicit PreTokenizer(std::unique_ptr<Compiled> compiled);
  void splitValid(std::string_view text, const std::function<void(std::string_view)> &piece) const;

  std::unique_ptr<Compiled> compiled_;
};

} // namespace llmir

#endif // LLMIR_LIB_MODELFILES_PRETOKENIZER_H
