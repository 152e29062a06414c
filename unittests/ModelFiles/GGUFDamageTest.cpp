// GGUFFile on damaged files: cut anywhere, or with bytes flipped by a seeded generator. Each ends
// in a message or in a file whose every value can be read.

#include "llmir/ModelFiles/GGUF.h"
#include "llmir/ModelFiles/Tokenizer.h"

#include "GGUFBuilder.h"
#include "TestData.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <random>

namespace llmir {
namespace {

using testing::StartsWith;

/// Parses a copy of exactly these bytes, so that a sanitizer sees any access past them.
std::string messageOf(const std::vector<uint8_t> &bytes) {
  std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), copy.get());
  StatusOr<GGUFFile> file = GGUFFile::parse(std::span(copy.get(), bytes.size()), "bad.gguf");
  return file ? "" : file.status().message();
}

GGUFBuilder smallFile() {
  GGUFBuilder builder;
  builder.string("general.architecture", "llama")
      .strings("tokens", {"one", "two", "three"})
      .array<int32_t>("types", GGUFValueType::Int32, {1, 2, 3})
      .scalar<uint32_t>("general.alignment", GGUFValueType::UInt32, 32)
      .tensor("a", 0, {4, 2}, std::vector<uint8_t>(32))
      .tensor("b", 2, {32, 2}, std::vector<uint8_t>(36));
  return builder;
}

TEST(GGUFDamageTest, EveryTruncationIsRefused) {
  std::vector<uint8_t> bytes = smallFile().build();
  ASSERT_EQ(messageOf(bytes), "");
  for (size_t size = 0; size < bytes.size(); ++size)
    ASSERT_THAT(messageOf({bytes.begin(), bytes.begin() + static_cast<long>(size)}),
                StartsWith("bad.gguf: "))
        << size;
}

TEST(GGUFDamageTest, ARealHeaderIsRefusedWhereverItEnds) {
  std::string path = sharedDataPath("vocab/ggml-vocab-gpt-2.gguf");
  StatusOr<MappedFile> mapping = MappedFile::open(path);
  if (!mapping)
    GTEST_SKIP() << path << " is not there";
  std::span<const uint8_t> bytes = mapping->bytes();
  size_t headerBytes = GGUFFile::parse(bytes, path)->metadataBytes().size();
  for (size_t size = 0; size < headerBytes; size += 1 + headerBytes / 300) {
    StatusOr<GGUFFile> file = GGUFFile::parse(bytes.first(size), "bad.gguf");
    ASSERT_FALSE(file.isOk()) << size;
    ASSERT_THAT(file.status().message(), StartsWith("bad.gguf: "));
  }
}

/// Touches everything that the getters reach.
void readAll(const GGUFFile &file) {
  for (const GGUFValue &value : file.values()) {
    if (auto texts = file.getStringArray(value.key))
      for (std::string_view text : *texts)
        EXPECT_LE(text.size(), file.metadataBytes().size());
    (void)file.getString(value.key);
    (void)file.getUInt(value.key);
    (void)file.getFloat(value.key);
    (void)file.getBool(value.key);
    (void)file.getIntArray(value.key);
    (void)file.getFloatArray(value.key);
  }
  for (const GGUFTensor &tensor : file.tensors()) {
    std::vector<float> row(static_cast<size_t>(tensor.numColumns()));
    (void)dequantizeRow(tensor, tensor.numRows() - 1, row);
  }
}

TEST(GGUFDamageTest, FlippedBytesNeverReachOutside) {
  const std::vector<uint8_t> bytes = smallFile().build();
  std::mt19937 random(20240607);
  size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), copy.get());
    for (unsigned flips = 1 + random() % 3; flips > 0; --flips)
      copy[random() % bytes.size()] = static_cast<uint8_t>(random());
    StatusOr<GGUFFile> file = GGUFFile::parse(std::span(copy.get(), bytes.size()), "bad.gguf");
    if (!file) {
      ASSERT_THAT(file.status().message(), StartsWith("bad.gguf: "));
      continue;
    }
    ++accepted;
    readAll(*file);
  }
  EXPECT_GT(accepted, 0u);
}

TEST(GGUFDamageTest, FlippedBytesOfARealVocabulary) {
  std::string path = sharedDataPath("vocab/ggml-vocab-gpt-2.gguf");
  StatusOr<MappedFile> mapping = MappedFile::open(path);
  if (!mapping)
    GTEST_SKIP() << path << " is not there";
  std::vector<uint8_t> bytes(mapping->bytes().begin(), mapping->bytes().end());
  std::mt19937 random(99);
  size_t accepted = 0;
  for (int round = 0; round < 40; ++round) {
    std::vector<uint8_t> copy = bytes;
    // Half of the rounds hit the entries before the token list, where lengths and types stand.
    size_t range = round % 2 ? copy.size() : 800;
    copy[random() % range] ^= static_cast<uint8_t>(1u << random() % 8);
    StatusOr<GGUFFile> file = GGUFFile::parse(copy, "bad.gguf");
    StatusOr<Tokenizer> tokenizer = file ? Tokenizer::fromGGUF(*file) : file.status();
    if (!tokenizer) {
      ASSERT_THAT(tokenizer.status().message(), StartsWith("bad.gguf: "));
      continue;
    }
    ++accepted;
    EXPECT_FALSE(tokenizer->encode("The quick brown fox, 42 times").empty());
  }
  EXPECT_GT(accepted, 10u);
}

} // namespace
} // namespace llmir
