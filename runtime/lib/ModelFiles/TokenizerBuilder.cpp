// Builds a Tokenizer from the `tokenizer.ggml.*` entries of a GGUF file and checks that they agree
// with each other.

#include "BytePairMerger.h"
#include "PreTokenizer.h"

#include "llmir/ModelFiles/Tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>

namespace llmir {

/// Tokens that end a turn or a text in the vocabularies of published models. They are control
/// tokens whatever the file calls them.
static constexpr std::array<std::string_view, 14> endOfGenerationTexts = {"<|endoftext|>",
                                                                          "<|im_end|>",
                                                                          "<|eot_id|>",
                                                                          "<|eom_id|>",
                                                                          "<|end|>",
                                                                          "<|return|>",
                                                                          "<|call|>",
                                                                          "<end_of_turn>",
                                                                          "<EOT>",
                                                                          "<|end_of_text|>",
                                                                          "<|eot|>",
                                                                          "_<EOT>",
                                                                          "<|END_OF_TURN_TOKEN|>",
                                                                          "<end_of_utterance>"};

/// The one friend that fills a Tokenizer; a step per group of metadata keys.
class TokenizerBuilder {
public:
  explicit TokenizerBuilder(const GGUFFile &file) : file_(file) {}
  StatusOr<Tokenizer> build();

private:
  using TokenKind = Tokenizer::TokenKind;

  Status checkModel() const;
  Status readTokens();
  Status readKinds();
  Status readMerges();
  StatusOr<std::optional<int32_t>> readId(std::string_view key) const;
  Status readSpecialTokens();
  void storeTexts();
  void collectSpecialTokens();

  const GGUFFile &file_;
  std::vector<std::string_view> tokens_;
  Tokenizer tokenizer_;
};

Status TokenizerBuilder::checkModel() const {
  StatusOr<std::string_view> model = file_.getString("tokenizer.ggml.model");
  if (!model)
    return model.status();
  if (*model != "gpt2")
    return unimplemented(
        file_.path() +
        ": metadata key 'tokenizer.ggml.model': expected gpt2 (byte-level BPE), but "
        "got '" +
        std::string(*model) + "'");
  return Status::ok();
}

Status TokenizerBuilder::readTokens() {
  StatusOr<std::vector<std::string_view>> tokens = file_.getStringArray("tokenizer.ggml.tokens");
  if (!tokens)
    return tokens.status();
  size_t bytes = 0;
  for (std::string_view token : *tokens)
    bytes += token.size();
  constexpr size_t limit = std::numeric_limits<int32_t>::max();
  if (tokens->empty() || tokens->size() > limit || bytes > limit)
    return dataLoss(file_.path() +
                    ": metadata key 'tokenizer.ggml.tokens': expected 1 to 2147483647 tokens and "
                    "bytes, but got " +
                    std::to_string(tokens->size()) + " tokens of " + std::to_string(bytes) +
                    " bytes");
  tokens_ = *std::move(tokens);
  return Status::ok();
}

Status TokenizerBuilder::readKinds() {
  constexpr std::string_view key = "tokenizer.ggml.token_type";
  tokenizer_.kinds_.assign(tokens_.size(), TokenKind::Normal);
  if (!file_.has(key))
    return Status::ok();
  StatusOr<std::vector<int64_t>> kinds = file_.getIntArray(key);
  if (!kinds)
    return kinds.status();
  if (kinds->size() != tokens_.size())
    return dataLoss(file_.path() + ": metadata key '" + std::string(key) + "': expected " +
                    std::to_string(tokens_.size()) + " elements, one for each token, but got " +
                    std::to_string(kinds->size()));
  for (size_t i = 0; i < kinds->size(); ++i)
    if ((*kinds)[i] >= 1 && (*kinds)[i] <= 6)
      tokenizer_.kinds_[i] = static_cast<TokenKind>((*kinds)[i]);
  return Status::ok();
}

Status TokenizerBuilder::readMerges() {
  StatusOr<std::string_view> name = file_.getString("tokenizer.ggml.pre", "default-for-gpt2");
  if (!name)
    return name.status();
  StatusOr<std::unique_ptr<const PreTokenizer>> preTokenizer = PreTokenizer::create(*name);
  if (!preTokenizer)
    return preTokenizer.status().withContext(file_.path() + ": metadata key 'tokenizer.ggml.pre'");
  tokenizer_.preTokenizer_ = *std::move(preTokenizer);
  StatusOr<std::vector<std::string_view>> merges = file_.getStringArray("tokenizer.ggml.merges");
  if (!merges)
    return merges.status();
  StatusOr<BytePairMerger> merger = BytePairMerger::create(tokens_, *merges);
  if (!merger)
    return merger.status().withContext(file_.path() + ": metadata key 'tokenizer.ggml.merges'");
  tokenizer_.merger_ = std::make_unique<const BytePairMerger>(*std::move(merger));
  return Status::ok();
}

/// The token id at `key`; none when the key is absent.
StatusOr<std::optional<int32_t>> TokenizerBuilder::readId(std::string_view key) const {
  if (!file_.has(key))
    return std::optional<int32_t>();
  StatusOr<uint64_t> id = file_.getUInt(key);
  if (!id)
    return id.status();
  // Exporters write all ones for "none".
  if (*id == std::numeric_limits<uint32_t>::max())
    return std::optional<int32_t>();
  if (*id >= tokens_.size())
    return dataLoss(file_.path() + ": metadata key '" + std::string(key) +
                    "': expected a token id below " + std::to_string(tokens_.size()) +
                    ", but got " + std::to_string(*id));
  return std::optional<int32_t>(static_cast<int32_t>(*id));
}

Status TokenizerBuilder::readSpecialTokens() {
  SpecialTokens &special = tokenizer_.special_;
  const std::pair<std::string_view, std::optional<int32_t> *> keys[] = {
      {"tokenizer.ggml.bos_token_id", &special.bos},
      {"tokenizer.ggml.eos_token_id", &special.eos},
      {"tokenizer.ggml.eot_token_id", &special.eot},
      {"tokenizer.ggml.padding_token_id", &special.padding},
      {"tokenizer.ggml.unknown_token_id", &special.unknown}};
  for (auto [key, id] : keys) {
    StatusOr<std::optional<int32_t>> read = readId(key);
    if (!read)
      return read.status();
    *id = *read;
  }
  StatusOr<bool> addsBos = file_.getBool("tokenizer.ggml.add_bos_token", false);
  if (!addsBos)
    return addsBos.status();
  tokenizer_.addsBos_ = *addsBos;
  return Status::ok();
}

/// Stores what each token stands for: bytes for ordinary tokens, the name for special ones and for
/// those whose text is not in the printable form.
void TokenizerBuilder::storeTexts() {
  tokenizer_.textOffsets_.clear();
  tokenizer_.textOffsets_.reserve(tokens_.size() + 1);
  for (size_t i = 0; i < tokens_.size(); ++i) {
    size_t start = tokenizer_.text_.size();
    tokenizer_.textOffsets_.push_back(static_cast<uint32_t>(start));
    TokenKind kind = tokenizer_.kinds_[i];
    bool isNamed =
        kind == TokenKind::Control || kind == TokenKind::UserDefined || kind == TokenKind::Unknown;
    if (isNamed || !fromPrintable(tokens_[i], tokenizer_.text_)) {
      tokenizer_.text_.resize(start);
      tokenizer_.text_ += tokens_[i];
    }
  }
  tokenizer_.textOffsets_.push_back(static_cast<uint32_t>(tokenizer_.text_.size()));
}

void TokenizerBuilder::collectSpecialTokens() {
  std::vector<int32_t> &endings = tokenizer_.endOfGeneration_;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    TokenKind &kind = tokenizer_.kinds_[i];
    int32_t id = static_cast<int32_t>(i);
    if (std::find(endOfGenerationTexts.begin(), endOfGenerationTexts.end(), tokens_[i]) !=
        endOfGenerationTexts.end()) {
      kind = TokenKind::Control;
      endings.push_back(id);
    }
    bool isFound =
        kind == TokenKind::Control || kind == TokenKind::UserDefined || kind == TokenKind::Unknown;
    if (isFound && !tokens_[i].empty())
      tokenizer_.specialByLength_.push_back(id);
  }
  for (std::optional<int32_t> id : {tokenizer_.special_.eos, tokenizer_.special_.eot})
    if (id)
      endings.push_back(*id);
  std::sort(endings.begin(), endings.end());
  endings.erase(std::unique(endings.begin(), endings.end()), endings.end());
  std::sort(tokenizer_.specialByLength_.begin(), tokenizer_.specialByLength_.end(),
            [&](int32_t a, int32_t b) {
              size_t lengthA = tokens_[static_cast<size_t>(a)].size();
              size_t lengthB = tokens_[static_cast<size_t>(b)].size();
              return lengthA != lengthB ? lengthA > lengthB : a < b;
            });
}

StatusOr<Tokenizer> TokenizerBuilder::build() {
  LLMIR_RETURN_IF_ERROR(checkModel());
  LLMIR_RETURN_IF_ERROR(readTokens());
  LLMIR_RETURN_IF_ERROR(readKinds());
  LLMIR_RETURN_IF_ERROR(readMerges());
  LLMIR_RETURN_IF_ERROR(readSpecialTokens());
  collectSpecialTokens();
  storeTexts();
  return std::move(tokenizer_);
}

StatusOr<Tokenizer> Tokenizer::fromGGUF(const GGUFFile &file) {
  return TokenizerBuilder(file).build();
}

} // namespace llmir
