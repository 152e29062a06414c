// GGUFFile on well-formed files: metadata of every type, tensors, the copy without tensors.

#include "llmir/ModelFiles/GGUF.h"

#include "GGUFBuilder.h"
#include "TestData.h"

#include <gtest/gtest.h>

namespace llmir {
namespace {

GGUFBuilder sampleFile() {
  GGUFBuilder builder;
  builder.string("general.architecture", "llama")
      .scalar<uint32_t>("llama.block_count", GGUFValueType::UInt32, 30)
      .scalar<int8_t>("negative", GGUFValueType::Int8, -1)
      .scalar<uint64_t>("huge", GGUFValueType::UInt64, ~0ull)
      .scalar<float>("epsilon", GGUFValueType::Float32, 0.5f)
      .scalar<double>("theta", GGUFValueType::Float64, 1e5)
      .scalar<uint8_t>("flag", GGUFValueType::Bool, 1)
      .strings("tokens", {"a", "", std::string("\0b", 2)})
      .array<int32_t>("types", GGUFValueType::Int32, {1, -3})
      .array<float>("scores", GGUFValueType::Float32, {1.0f, 2.5f})
      .array<uint64_t>("wide", GGUFValueType::UInt64, {~0ull});
  std::vector<uint8_t> vector = {0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40};
  std::vector<uint8_t> matrix(2 * 34);
  matrix[1] = 0x3c; // Scale 1 of row 0.
  matrix[2] = 7;
  matrix[35] = 0x40; // Scale 2 of row 1.
  matrix[67] = 0xff;
  builder.tensor("norm", 0, {3}, vector).tensor("weight", 8, {32, 2}, matrix);
  return builder;
}

TEST(GGUFTest, ReadsMetadataOfEveryKind) {
  std::vector<uint8_t> bytes = sampleFile().build();
  StatusOr<GGUFFile> file = GGUFFile::parse(bytes, "sample");
  ASSERT_TRUE(file.isOk()) << file.status().message();
  EXPECT_EQ(*file->getString("general.architecture"), "llama");
  EXPECT_EQ(*file->getString("absent", "none"), "none");
  EXPECT_EQ(*file->getUInt("llama.block_count"), 30u);
  EXPECT_EQ(*file->getUInt("huge"), ~0ull);
  EXPECT_EQ(*file->getUInt("absent", 5), 5u);
  EXPECT_EQ(*file->getFloat("epsilon"), 0.5);
  EXPECT_EQ(*file->getFloat("theta"), 1e5);
  EXPECT_TRUE(*file->getBool("flag"));
  EXPECT_FALSE(*file->getBool("absent", false));
  EXPECT_EQ(*file->getStringArray("tokens"),
            (std::vector<std::string_view>{"a", "", std::string_view("\0b", 2)}));
  EXPECT_EQ(*file->getIntArray("types"), (std::vector<int64_t>{1, -3}));
  EXPECT_EQ(*file->getFloatArray("scores"), (std::vector<float>{1.0f, 2.5f}));
  EXPECT_EQ(file->values().size(), 11u);
  EXPECT_TRUE(file->has("flag"));
  EXPECT_FALSE(file->has("absent"));
}

TEST(GGUFTest, GettersNameWhatTheyFind) {
  std::vector<uint8_t> bytes = sampleFile().build();
  StatusOr<GGUFFile> file = GGUFFile::parse(bytes, "sample");
  ASSERT_TRUE(file.isOk()) << file.status().message();
  EXPECT_EQ(file->getString("absent").status().message(),
            "sample: expected metadata key 'absent', but it is not there");
  EXPECT_EQ(file->getString("absent").status().code(), StatusCode::NotFound);
  EXPECT_EQ(file->getString("flag").status().message(),
            "sample: metadata key 'flag': expected a string, but got a value of type bool");
  EXPECT_EQ(file->getString("flag", "none").status().code(), StatusCode::InvalidArgument);
  EXPECT_EQ(file->getUInt("negative").status().message(),
            "sample: metadata key 'negative': expected a non-negative integer, but got -1");
  EXPECT_EQ(file->getUInt("types").status().message(),
            "sample: metadata key 'types': expected an integer, but got an array of i32");
  EXPECT_FALSE(file->getFloat("huge").isOk());
  EXPECT_FALSE(file->getBool("huge").isOk());
  EXPECT_FALSE(file->getIntArray("scores").isOk());
  EXPECT_FALSE(file->getIntArray("wide").isOk());
  EXPECT_FALSE(file->getFloatArray("types").isOk());
  EXPECT_FALSE(file->getStringArray("general.architecture").isOk());
}

TEST(GGUFTest, ReadsTensors) {
  std::vector<uint8_t> bytes = sampleFile().build();
  StatusOr<GGUFFile> file = GGUFFile::parse(bytes, "sample");
  ASSERT_TRUE(file.isOk()) << file.status().message();
  ASSERT_EQ(file->tensors().size(), 2u);
  EXPECT_EQ(file->findTensor("absent"), nullptr);
  const GGUFTensor *weight = file->findTensor("weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->type, GGUFType::Q8_0);
  EXPECT_EQ(weight->shape, (std::vector<int64_t>{2, 32}));
  EXPECT_EQ(weight->data.size(), 68u);
  std::vector<float> row(32);
  ASSERT_TRUE(dequantizeRow(*weight, 1, row).isOk());
  EXPECT_EQ(row[31], -2.0f);
  ASSERT_TRUE(dequantizeRow(*weight, 0, row).isOk());
  EXPECT_EQ(row[0], 7.0f);
  EXPECT_EQ(dequantizeRow(*weight, 2, row).message(),
            "tensor 'weight': expected a row below 2, but got 2");
  EXPECT_FALSE(dequantizeRow(*weight, 0, std::span(row).first(31)).isOk());
  std::vector<float> norm(3);
  ASSERT_TRUE(dequantizeRow(*file->findTensor("norm"), 0, norm).isOk());
  EXPECT_EQ(norm, (std::vector<float>{1.0f, 2.0f, 3.0f}));
}

TEST(GGUFTest, CopyOfTheMetadataHasNoTensors) {
  std::vector<uint8_t> bytes = sampleFile().build();
  StatusOr<GGUFFile> file = GGUFFile::parse(bytes, "sample");
  ASSERT_TRUE(file.isOk()) << file.status().message();
  std::vector<uint8_t> copy = file->copyMetadata();
  EXPECT_EQ(copy.size(), file->metadataBytes().size());
  StatusOr<GGUFFile> again = GGUFFile::parse(copy, "copy");
  ASSERT_TRUE(again.isOk()) << again.status().message();
  EXPECT_TRUE(again->tensors().empty());
  EXPECT_EQ(*again->getFloat("theta"), 1e5);
  EXPECT_EQ(again->values().size(), file->values().size());
}

TEST(GGUFTest, OpensAPublishedVocabulary) {
  std::string path = sharedDataPath("vocab/ggml-vocab-gpt-2.gguf");
  StatusOr<GGUFFile> file = GGUFFile::open(path);
  if (!file && file.status().code() == StatusCode::NotFound)
    GTEST_SKIP() << path << " is not there";
  ASSERT_TRUE(file.isOk()) << file.status().message();
  GGUFFile moved = *std::move(file);
  EXPECT_EQ(*moved.getString("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(moved.getStringArray("tokenizer.ggml.tokens")->size(), 50257u);
  EXPECT_EQ(GGUFFile::open(path + ".inp").status().message(),
            path + ".inp: magic: expected 'GGUF' at the start of the file");
}

} // namespace
} // namespace llmir
