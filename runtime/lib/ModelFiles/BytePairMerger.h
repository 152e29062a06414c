// BytePairMerger: applies a vocabulary's merges to one piece of text. Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_BYTEPAIRMERGER_H
#define LLMIR_LIB_MODELFILES_BYTEPAIRMERGER_H

#include "llmir/Base/Status.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace llmir {

/// The printable character that byte-level BPE writes for a byte, as a code point: itself where it
/// is printable Latin-1, else one from U+0100 on.
char32_t toPrintable(uint8_t byte);
/// The bytes that a token's printable form stands for; false when it has other characters.
bool fromPrintable(std::string_view printable, std::string &bytes);

/// Merges in order of rank, the leftmost first among equals, until none applies (Sennrich et al.,
/// "Neural Machine Translation of Rare Words with Subword Units"). A piece of n bytes takes
/// O(n log n). Immutable; threads may share it.
class BytePairMerger {
public:
  /// `tokens` and `merges` ("left right") in their printable form; they are not kept.
  static StatusOr<BytePairMerger> create(const std::vector<std::string_view> &tokens,
                                         const std::vector<std::string_view> &merges);

  /// Appends the tokens of `piece`. A byte for which the vocabulary has no token is left out.
  void merge(std::string_view piece, std::vector<int32_t> &ids) const;

private:
  /// What two neighbouring symbols become. Symbols below numTokens_ are tokens; others occur only
  /// inside merges.
  struct Merge {
    uint32_t rank;
    uint32_t result;
  };
  struct Symbol;
  struct Candidate;
  struct Work;

  static uint64_t keyOf(uint32_t left, uint32_t right) {
    return static_cast<uint64_t>(left) << 32 | right;
  }
  void propose(const Work &work, size_t left, std::vector<Candidate> &candidates) const;
  void emit(std::string_view bytes, uint32_t symbol, std::vector<int32_t> &ids) const;

  std::unordered_map<uint64_t, Merge> merges_;
  std::array<uint32_t, 256> byteSymbols_{};
  uint32_t numTokens_ = 0;
};

} // namespace llmir

#endif // LLMIR_LIB_MODELFILES_BYTEPAIRMERGER_H
