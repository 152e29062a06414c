// Tokenizer: text to token ids and back, for byte-level BPE vocabularies (GPT-2 style) as GGUF
// files carry them. StreamDecoder turns ids into text as they are generated.

#ifndef LLMIR_MODELFILES_TOKENIZER_H
#define LLMIR_MODELFILES_TOKENIZER_H

#include "llmir/Base/Status.h"
#include "llmir/ModelFiles/GGUF.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmir {

class BytePairMerger;
class PreTokenizer;

/// Whether encode puts the beginning-of-sequence token first.
enum class AddBOS {
  AsModelSays, ///< As `tokenizer.ggml.add_bos_token` says; no when the file does not.
  No,
  Yes ///< If the vocabulary has one.
};

/// Whether the text of a control token ("<|im_start|>") becomes that token or ordinary text. Text
/// from a user must be encoded with No; text that a chat template produced with Yes.
enum class ParseSpecial { No, Yes };

/// Whether control tokens appear in decoded text.
enum class SpecialText { Hide, Show };

struct EncodeOptions {
  AddBOS addBos = AddBOS::AsModelSays;
  ParseSpecial parseSpecial = ParseSpecial::No;
};

/// The ids that a model gives special roles; none where the vocabulary has no such token.
struct SpecialTokens {
  std::optional<int32_t> bos;     ///< Beginning of a sequence.
  std::optional<int32_t> eos;     ///< End of a sequence.
  std::optional<int32_t> eot;     ///< End of a turn, when it is not eos.
  std::optional<int32_t> padding; ///< Fills up batches.
  std::optional<int32_t> unknown; ///< Stands for what the vocabulary lacks; never produced here.
};

/// A vocabulary with its merges. Owns all it needs: the GGUF file may go. Immutable after
/// construction, so that threads may share it.
class Tokenizer {
public:
  /// Reads `tokenizer.ggml.*`. Unimplemented for another model than `gpt2` or a pre-tokenizer that
  /// is not known; DataLoss or InvalidArgument for an inconsistent vocabulary.
  static StatusOr<Tokenizer> fromGGUF(const GGUFFile &file);

  Tokenizer(Tokenizer &&) noexcept;
  Tokenizer &operator=(Tokenizer &&) noexcept;
  Tokenizer(const Tokenizer &) = delete;
  Tokenizer &operator=(const Tokenizer &) = delete;
  ~Tokenizer();

  /// Any bytes are accepted, NUL and invalid UTF-8 included; decode gives them back, except bytes
  /// for which the vocabulary has no token (SmolLM2's lacks some that occur in rare scripts only).
  /// Tokens that the vocabulary marks as user-defined are recognised whatever `parseSpecial` is.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions &options = {}) const;

  /// The concatenated text of the tokens; ids outside the vocabulary are skipped.
  std::string decode(std::span<const int32_t> ids, SpecialText special = SpecialText::Hide) const;

  /// The bytes that a token stands for, not necessarily whole characters; for control and
  /// user-defined tokens their name. Empty for an id outside the vocabulary.
  std::string_view tokenText(int32_t id) const;

  size_t vocabularySize() const { return textOffsets_.size() - 1; }
  const SpecialTokens &specialTokens() const { return special_; }
  /// Whether encode adds a BOS token with AddBOS::AsModelSays.
  bool addsBos() const { return addsBos_ && special_.bos.has_value(); }
  /// Whether generation ends with this token: eos, eot, and tokens that other models end a turn
  /// with.
  bool isEndOfGeneration(int32_t id) const;
  /// Whether it is a control token, which has no text of its own.
  bool isControl(int32_t id) const;

private:
  enum class TokenKind : uint8_t {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6
  };
  friend class TokenizerBuilder;
  Tokenizer();

  bool isInVocabulary(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < vocabularySize();
  }
  void encodeText(std::string_view text, std::vector<int32_t> &ids) const;

  std::string text_;                  // The bytes of all tokens.
  std::vector<uint32_t> textOffsets_; // Token i is text_[textOffsets_[i], textOffsets_[i + 1]).
  std::vector<TokenKind> kinds_;
  std::vector<int32_t> specialByLength_; // Tokens to find in text, the longest first.
  std::vector<int32_t> endOfGeneration_; // Sorted.
  SpecialTokens special_;
  bool addsBos_ = false;
  std::unique_ptr<const PreTokenizer> preTokenizer_;
  std::unique_ptr<const BytePairMerger> merger_;
};

/// Decodes a stream of tokens into text that is valid UTF-8 at every moment: bytes of an unfinished
/// character wait for the next token. Bytes that can be no character come out as U+FFFD.
class StreamDecoder {
public:
  /// The tokenizer must outlive the decoder.
  explicit StreamDecoder(const Tokenizer &tokenizer, SpecialText special = SpecialText::Hide)
      : tokenizer_(&tokenizer), special_(special) {}

  /// The characters that this token completes; often empty.
  std::string add(int32_t id);
  /// What still waits, as one U+FFFD, or nothing; the decoder is as new afterwards.
  std::string flush();

private:
  const Tokenizer *tokenizer_;
  SpecialText special_;
  std::string waiting_;
};

} // namespace llmir

#endif // LLMIR_MODELFILES_TOKENIZER_H
