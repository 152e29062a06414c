// Implements encoding (special tokens, pieces, merges) and decoding.

#include "llmir/ModelFiles/Tokenizer.h"

#include "BytePairMerger.h"
#include "PreTokenizer.h"

#include <algorithm>
#include <unordered_map>

namespace llmir {

Tokenizer::Tokenizer() : textOffsets_(1, 0) {}
Tokenizer::Tokenizer(Tokenizer &&) noexcept = default;
Tokenizer &Tokenizer::operator=(Tokenizer &&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::string_view Tokenizer::tokenText(int32_t id) const {
  if (!isInVocabulary(id))
    return {};
  size_t index = static_cast<size_t>(id);
  return std::string_view(text_).substr(textOffsets_[index],
                                        textOffsets_[index + 1] - textOffsets_[index]);
}

bool Tokenizer::isEndOfGeneration(int32_t id) const {
  return std::binary_search(endOfGeneration_.begin(), endOfGeneration_.end(), id);
}

bool Tokenizer::isControl(int32_t id) const {
  return isInVocabulary(id) && kinds_[static_cast<size_t>(id)] == TokenKind::Control;
}

/// Encodes text without special tokens. Words repeat, so each distinct piece is merged once per
/// call and copied from the output afterwards.
void Tokenizer::encodeText(std::string_view text, std::vector<int32_t> &ids) const {
  struct Range {
    size_t start, count;
  };
  std::unordered_map<std::string_view, Range> known;
  preTokenizer_->split(text, [&](std::string_view piece) {
    auto [entry, isNew] = known.try_emplace(piece, Range{ids.size(), 0});
    Range &range = entry->second;
    if (isNew) {
      merger_->merge(piece, ids);
      range.count = ids.size() - range.start;
      return;
    }
    for (size_t i = 0; i < range.count; ++i) {
      int32_t id = ids[range.start + i];
      ids.push_back(id);
    }
  });
}

namespace {
/// A part of the text: a special token that was found, or text still to be searched.
struct Fragment {
  std::string_view text;
  std::optional<int32_t> token;
};
} // namespace

/// Cuts the fragments at every occurrence of a token's name.
static void cutAt(std::string_view name, int32_t token, std::vector<Fragment> &fragments) {
  std::vector<Fragment> cut;
  for (const Fragment &fragment : fragments) {
    if (fragment.token) {
      cut.push_back(fragment);
      continue;
    }
    size_t start = 0;
    for (size_t found; (found = fragment.text.find(name, start)) != std::string_view::npos;
         start = found + name.size()) {
      if (found > start)
        cut.push_back({fragment.text.substr(start, found - start), std::nullopt});
      cut.push_back({name, token});
    }
    if (start < fragment.text.size())
      cut.push_back({fragment.text.substr(start), std::nullopt});
  }
  fragments = std::move(cut);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions &options) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 8);
  bool wantsBos =
      options.addBos == AddBOS::Yes || (options.addBos == AddBOS::AsModelSays && addsBos_);
  if (wantsBos && special_.bos)
    ids.push_back(*special_.bos);
  std::vector<Fragment> fragments;
  if (!text.empty())
    fragments.push_back({text, std::nullopt});
  for (int32_t token : specialByLength_) {
    bool isUserDefined = kinds_[static_cast<size_t>(token)] == TokenKind::UserDefined;
    std::string_view name = tokenText(token);
    if ((isUserDefined || options.parseSpecial == ParseSpecial::Yes) &&
        text.find(name) != std::string_view::npos)
      cutAt(name, token, fragments);
  }
  for (const Fragment &fragment : fragments) {
    if (fragment.token)
      ids.push_back(*fragment.token);
    else
      encodeText(fragment.text, ids);
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, SpecialText special) const {
  std::string text;
  for (int32_t id : ids)
    if (special == SpecialText::Show || !isControl(id))
      text += tokenText(id);
  return text;
}

} // namespace llmir
