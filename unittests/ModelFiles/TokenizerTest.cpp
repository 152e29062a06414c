// Tokenizer on a small hand-made vocabulary: merges, special tokens, decoding, and bad
// vocabularies.

#include "llmir/ModelFiles/Tokenizer.h"

#include "GGUFBuilder.h"
#include "TestVocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(TokenizerTest, MergesByRankThenFromTheLeft) {
  Tokenizer tokenizer = makeTokenizer();
  auto texts = [&](std::string_view text) {
    std::vector<std::string> parts;
    for (int32_t id : tokenizer.encode(text))
      parts.emplace_back(tokenizer.tokenText(id));
    return parts;
  };
  EXPECT_THAT(texts("ab"), ElementsAre("ab"));
  EXPECT_THAT(texts("aaa"), ElementsAre("aa", "a"));
  EXPECT_THAT(texts("aaaa"), ElementsAre("aa", "aa"));
  EXPECT_THAT(texts("aab"), ElementsAre("a", "ab"));
  EXPECT_THAT(texts("abc"), ElementsAre("abc"));
  EXPECT_THAT(texts(" ab ab"), ElementsAre(" ab", " ab"));
  EXPECT_THAT(texts("ba"), ElementsAre("b", "a"));
  EXPECT_THAT(texts("xyxy"), ElementsAre("x", "y", "x", "y"));
  EXPECT_TRUE(tokenizer.encode("").empty());
}

TEST(TokenizerTest, AllBytesComeBack) {
  Tokenizer tokenizer = makeTokenizer();
  std::string bytes;
  for (int i = 0; i < 256; ++i)
    bytes += static_cast<char>(i);
  for (const std::string &text : {bytes, std::string("a\0b\n\n", 5),
                                  std::string("\xff\xfe ab\xe4\xb8"), std::string("日本 ab")})
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(TokenizerTest, SpecialTokensOnlyWhenAsked) {
  Tokenizer tokenizer = makeTokenizer();
  const std::string text = "ab<|end|>ab<|endless|>";
  int32_t ab = tokenizer.encode("ab").front();
  EXPECT_GT(tokenizer.encode(text).size(), 6u);
  EXPECT_THAT(tokenizer.encode(text, {AddBOS::No, ParseSpecial::Yes}),
              ElementsAre(ab, endToken, ab, endlessToken));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{ab, endToken}), "ab");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{ab, endToken}, SpecialText::Show), "ab<|end|>");
}

TEST(TokenizerTest, UserDefinedTokensAlways) {
  Tokenizer tokenizer = makeTokenizer();
  int32_t ab = tokenizer.encode("ab").front();
  EXPECT_THAT(tokenizer.encode("ab[tool]"), ElementsAre(ab, toolToken));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{toolToken}), "[tool]");
}

TEST(TokenizerTest, RolesAndBeginning) {
  Tokenizer tokenizer = makeTokenizer();
  EXPECT_EQ(tokenizer.specialTokens().bos, beginToken);
  EXPECT_EQ(tokenizer.specialTokens().eos, endToken);
  EXPECT_FALSE(tokenizer.specialTokens().padding.has_value());
  EXPECT_TRUE(tokenizer.isEndOfGeneration(endToken));
  EXPECT_FALSE(tokenizer.isEndOfGeneration(beginToken));
  EXPECT_FALSE(tokenizer.isEndOfGeneration(-1));
  EXPECT_TRUE(tokenizer.isControl(beginToken));
  EXPECT_FALSE(tokenizer.isControl(100000));
  EXPECT_FALSE(tokenizer.addsBos());
  int32_t ab = tokenizer.encode("ab").front();
  EXPECT_THAT(tokenizer.encode("ab", {AddBOS::Yes, ParseSpecial::No}), ElementsAre(beginToken, ab));
  Tokenizer adding = makeTokenizer([](GGUFBuilder &builder) {
    builder.scalar<uint8_t>("tokenizer.ggml.add_bos_token", GGUFValueType::Bool, 1);
  });
  EXPECT_THAT(adding.encode("ab"), ElementsAre(beginToken, ab));
  EXPECT_THAT(adding.encode("ab", {AddBOS::No, ParseSpecial::No}), ElementsAre(ab));
}

TEST(TokenizerTest, StreamNeverSplitsACharacter) {
  Tokenizer tokenizer = makeTokenizer();
  StreamDecoder stream(tokenizer);
  std::string text;
  for (int32_t id : tokenizer.encode("é日😀")) {
    std::string part = stream.add(id);
    EXPECT_THAT(part, testing::AnyOf("", "é", "日", "😀"));
    text += part;
  }
  EXPECT_EQ(text, "é日😀");
  EXPECT_EQ(stream.flush(), "");
  EXPECT_EQ(stream.add(endToken), "");
  EXPECT_EQ(stream.add(byteToken(0xe6)), "");
  EXPECT_EQ(stream.add(byteToken(0x97)), "");
  EXPECT_EQ(stream.add(byteToken('a')), "\xef\xbf\xbd"
                                        "a");
  EXPECT_EQ(stream.add(byteToken(0xff)), "\xef\xbf\xbd");
  EXPECT_EQ(stream.add(byteToken(0xf0)), "");
  EXPECT_EQ(stream.flush(), "\xef\xbf\xbd");
  EXPECT_EQ(stream.flush(), "");
  EXPECT_EQ(StreamDecoder(tokenizer, SpecialText::Show).add(endToken), "<|end|>");
}

TEST(TokenizerTest, LongWordsTakeNoQuadraticTime) {
  Tokenizer tokenizer = makeTokenizer();
  std::string word(1 << 20, 'a');
  EXPECT_EQ(tokenizer.encode(word).size(), word.size() / 2);
}

std::string errorOf(GGUFBuilder builder) {
  std::vector<uint8_t> bytes = builder.build();
  StatusOr<GGUFFile> file = GGUFFile::parse(bytes, "v.gguf");
  EXPECT_TRUE(file.isOk()) << file.status().message();
  StatusOr<Tokenizer> tokenizer = Tokenizer::fromGGUF(*file);
  return tokenizer ? "" : tokenizer.status().message();
}

TEST(TokenizerTest, BadVocabulariesAreNamed) {
  EXPECT_EQ(errorOf({}),
            "v.gguf: expected metadata key 'tokenizer.ggml.model', but it is not there");
  GGUFBuilder gpt2;
  gpt2.string("tokenizer.ggml.model", "gpt2");
  EXPECT_THAT(errorOf(gpt2), HasSubstr("tokenizer.ggml.tokens"));
  EXPECT_EQ(errorOf(GGUFBuilder().string("tokenizer.ggml.model", "llama")),
            "v.gguf: metadata key 'tokenizer.ggml.model': expected gpt2 (byte-level BPE), but got "
            "'llama'");
  GGUFBuilder tokens = gpt2;
  tokens.strings("tokenizer.ggml.tokens", {"a", "b"});
  EXPECT_THAT(errorOf(GGUFBuilder(tokens).array<int32_t>("tokenizer.ggml.token_type",
                                                         GGUFValueType::Int32, {1})),
              HasSubstr("expected 2 elements, one for each token, but got 1"));
  EXPECT_EQ(errorOf(GGUFBuilder(tokens).string("tokenizer.ggml.pre", "qwen9")),
            "v.gguf: metadata key 'tokenizer.ggml.pre': expected pre-tokenizer gpt-2, "
            "default-for-gpt2, smollm or starcoder, but got 'qwen9'");
  EXPECT_THAT(errorOf(tokens), HasSubstr("tokenizer.ggml.merges"));
  EXPECT_THAT(errorOf(GGUFBuilder(tokens).strings("tokenizer.ggml.merges", {"ab"})),
              HasSubstr("'tokenizer.ggml.merges': merge 0: expected two parts"));
  EXPECT_THAT(
      errorOf(GGUFBuilder(tokens)
                  .strings("tokenizer.ggml.merges", {})
                  .scalar<uint32_t>("tokenizer.ggml.eos_token_id", GGUFValueType::UInt32, 2)),
      HasSubstr("'tokenizer.ggml.eos_token_id': expected a token id below 2, but got 2"));
}

} // namespace
} // namespace llmir
