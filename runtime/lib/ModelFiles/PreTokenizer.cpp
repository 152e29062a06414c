// The pre-tokenizers' regular expressions, run by PCRE2 with Unicode properties.

#include "PreTokenizer.h"

#include "llmir/Base/UTF8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

namespace llmir {

// White space as the tokenizers' authors count it; PCRE2's \s would add U+180E.
#define LLMIR_SPACES                                                                               \
  R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})"

/// GPT-2's expression: contractions, words, numbers and other signs with one space before them, and
/// white space, of which the last one is left to a following word.
static constexpr const char *gpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^)" LLMIR_SPACES
    R"(\p{L}\p{N}]+|[)" LLMIR_SPACES R"(]+(?![^)" LLMIR_SPACES R"(])|[)" LLMIR_SPACES R"(]+)";

/// The same on text cut at every numeric character first; so white space before one is not divided.
static constexpr const char *digitsPattern =
    R"(\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^)" LLMIR_SPACES R"(\p{L}\p{N}]+|[)" LLMIR_SPACES
    R"(]+(?![^)" LLMIR_SPACES R"(\p{N}])|[)" LLMIR_SPACES R"(]+)";

#undef LLMIR_SPACES

struct NamedPattern {
  std::string_view name;
  const char *pattern;
};
static constexpr std::array<NamedPattern, 4> patterns = {{{"gpt-2", gpt2Pattern},
                                                          {"default-for-gpt2", gpt2Pattern},
                                                          {"smollm", digitsPattern},
                                                          {"starcoder", digitsPattern}}};

struct PreTokenizer::Compiled {
  explicit Compiled(pcre2_code *code) : code(code) {}
  Compiled(const Compiled &) = delete;
  Compiled &operator=(const Compiled &) = delete;
  ~Compiled() { pcre2_code_free(code); }
  pcre2_code *code;
};

PreTokenizer::PreTokenizer(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
PreTokenizer::~PreTokenizer() = default;

StatusOr<std::unique_ptr<const PreTokenizer>> PreTokenizer::create(std::string_view name) {
  const char *pattern = nullptr;
  for (const NamedPattern &known : patterns)
    if (known.name == name)
      pattern = known.pattern;
  if (!pattern)
    return unimplemented("expected pre-tokenizer gpt-2, default-for-gpt2, smollm or starcoder, but "
                         "got '" +
                         std::string(name) + "'");
  int error = 0;
  PCRE2_SIZE errorOffset = 0;
  pcre2_code *code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP, &error, &errorOffset, nullptr);
  if (!code)
    return internalError("pre-tokenizer '" + std::string(name) + "' does not compile: error " +
                         std::to_string(error) + " at " + std::to_string(errorOffset));
  // Without a JIT for this processor the interpreter matches the same.
  (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return std::unique_ptr<const PreTokenizer>(new PreTokenizer(std::make_unique<Compiled>(code)));
}

void PreTokenizer::splitValid(std::string_view text,
                              const std::function<void(std::string_view)> &piece) const {
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data *)> match(
      pcre2_match_data_create_from_pattern(compiled_->code, nullptr), pcre2_match_data_free);
  size_t position = 0;
  while (position < text.size()) {
    int matched = pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                              text.size(), position, PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    // Every character matches some alternative; should the matcher run out of a resource, the rest
    // is still encoded, as one piece.
    size_t start = text.size(), end = text.size();
    if (matched > 0) {
      const PCRE2_SIZE *range = pcre2_get_ovector_pointer(match.get());
      start = range[0];
      end = range[1];
    }
    if (start > position)
      piece(text.substr(position, start - position));
    if (end > start)
      piece(text.substr(start, end - start));
    position = end;
  }
}

void PreTokenizer::split(std::string_view text,
                         const std::function<void(std::string_view)> &piece) const {
  size_t start = 0;    // Of the stretch being collected.
  bool isValid = true; // Whether that stretch is characters, not broken bytes.
  auto finish = [&](size_t end) {
    if (end > start && isValid)
      splitValid(text.substr(start, end - start), piece);
    else if (end > start)
      piece(text.substr(start, end - start));
    start = end;
  };
  for (size_t position = 0; position < text.size();) {
    if (static_cast<unsigned char>(text[position]) < 0x80 && isValid) {
      ++position;
      continue;
    }
    UTF8Step step = nextUTF8(text, position);
    if ((step.kind == UTF8Kind::Character) != isValid) {
      finish(position);
      isValid = !isValid;
    }
    position += step.length;
  }
  finish(text.size());
}

} // namespace llmir
