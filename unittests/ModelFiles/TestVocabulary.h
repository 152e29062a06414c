// A small byte-level vocabulary for tests: all 256 bytes, a few merges, and special tokens.

#ifndef LLMIR_UNITTESTS_MODELFILES_TESTVOCABULARY_H
#define LLMIR_UNITTESTS_MODELFILES_TESTVOCABULARY_H

#include "llmir/Base/UTF8.h"
#include "llmir/ModelFiles/Tokenizer.h"

#include "GGUFBuilder.h"

#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

namespace llmir {

inline constexpr int32_t beginToken = 0;
inline constexpr int32_t endToken = 1;
inline constexpr int32_t endlessToken = 2;
inline constexpr int32_t toolToken = 3;

/// The token of a single byte.
inline int32_t byteToken(int byte) { return 4 + byte; }

/// The tokens and merges; `extend` may add metadata.
inline Tokenizer makeTokenizer(const std::function<void(GGUFBuilder &)> &extend = {}) {
  std::vector<std::string> tokens = {"<|begin|>", "<|end|>", "<|endless|>", "[tool]"};
  char32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    bool isPrintable =
        (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    appendUTF8(tokens.emplace_back(), isPrintable ? char32_t(byte) : next++);
  }
  std::vector<int32_t> kinds(tokens.size() + 4, 1);
  kinds[beginToken] = kinds[endToken] = kinds[endlessToken] = 3;
  kinds[toolToken] = 4;
  for (const char *token : {"ab", "aa", "abc", "Ġab"})
    tokens.emplace_back(token);
  GGUFBuilder builder;
  builder.string("tokenizer.ggml.model", "gpt2")
      .string("tokenizer.ggml.pre", "gpt-2")
      .strings("tokenizer.ggml.tokens", tokens)
      .array("tokenizer.ggml.token_type", GGUFValueType::Int32, kinds)
      .strings("tokenizer.ggml.merges", {"a b", "a a", "ab c", "Ġ ab", "x y"})
      .scalar<uint32_t>("tokenizer.ggml.bos_token_id", GGUFValueType::UInt32, beginToken)
      .scalar<uint32_t>("tokenizer.ggml.eos_token_id", GGUFValueType::UInt32, endToken)
      .scalar<uint32_t>("tokenizer.ggml.padding_token_id", GGUFValueType::UInt32, ~0u);
  if (extend)
    extend(builder);
  std::vector<uint8_t> bytes = builder.build();
  StatusOr<GGUFFile> file = GGUFFile::parse(bytes, "vocabulary");
  StatusOr<Tokenizer> tokenizer = file ? Tokenizer::fromGGUF(*file) : file.status();
  if (!tokenizer) {
    std::cerr << tokenizer.status().message() << "\n";
    std::abort();
  }
  return *std::move(tokenizer);
}

} // namespace llmir

#endif // LLMIR_UNITTESTS_MODELFILES_TESTVOCABULARY_H
