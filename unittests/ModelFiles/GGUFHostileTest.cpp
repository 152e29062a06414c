// GGUFFile on files that are inconsistent or made to harm: each ends in a message that
// names the field, and no byte outside the file is read.

#include "llmir/ModelFiles/GGUF.h"

#include "GGUFBuilder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>

namespace llmir {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// Parses a copy of exactly these bytes, so that a sanitizer sees any access past them.
std::string messageOf(const std::vector<uint8_t> &bytes) {
  std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), copy.get());
  StatusOr<GGUFFile> file = GGUFFile::parse(std::span(copy.get(), bytes.size()), "bad.gguf");
  return file ? "" : file.status().message();
}

TEST(GGUFHostileTest, Header) {
  EXPECT_EQ(messageOf({}), "bad.gguf: magic: expected 'GGUF' at the start of the file");
  std::vector<uint8_t> lowerCase = GGUFBuilder().build();
  lowerCase[0] = 'g';
  EXPECT_THAT(messageOf(lowerCase), HasSubstr("magic"));
  GGUFBuilder builder;
  EXPECT_EQ(messageOf(builder.build()), "");
  builder.version = 2;
  EXPECT_EQ(messageOf(builder.build()), "bad.gguf: version: expected GGUF version 3, but got 2");
  builder.version = 0x03000000;
  EXPECT_THAT(messageOf(builder.build()), HasSubstr("big-endian"));
}

TEST(GGUFHostileTest, Counts) {
  GGUFBuilder builder;
  builder.numTensors = 1ull << 60;
  EXPECT_THAT(messageOf(builder.build()), HasSubstr("tensor count: expected at most 0"));
  builder.numTensors = 0;
  builder.numValues = ~0ull;
  EXPECT_THAT(messageOf(builder.build()), HasSubstr("metadata count: expected at most 0"));
  GGUFBuilder missing;
  missing.string("a", "b");
  missing.numValues = 2;
  EXPECT_THAT(messageOf(missing.build()), StartsWith("bad.gguf: metadata"));
}

TEST(GGUFHostileTest, MetadataValues) {
  auto with = [](auto fill) {
    ByteWriter file;
    file.append({'G', 'G', 'U', 'F'}).put<uint32_t>(3).put<uint64_t>(0).put<uint64_t>(1);
    fill(file);
    return messageOf(file.append(std::vector<uint8_t>(64)).bytes);
  };
  EXPECT_THAT(with([](ByteWriter &w) { w.put<uint64_t>(1 << 20); }),
              HasSubstr("metadata entry 0: key: expected 1048576 bytes at offset 32"));
  EXPECT_THAT(with([](ByteWriter &w) { w.text(""); }), HasSubstr("expected a key of 1 to 65535"));
  EXPECT_THAT(with([](ByteWriter &w) { w.text("k").put<uint32_t>(13); }),
              HasSubstr("metadata key 'k': expected a value type from 0 to 12, but got 13"));
  EXPECT_THAT(with([](ByteWriter &w) { w.text("k").put<uint32_t>(8).put<uint64_t>(~0ull); }),
              HasSubstr("metadata key 'k': string: expected 18446744073709551615 bytes"));
  EXPECT_THAT(with([](ByteWriter &w) {
                w.text("k").put<uint32_t>(9).put<uint32_t>(8).put<uint64_t>(1ull << 61);
              }),
              HasSubstr("metadata key 'k': expected at most 8 string elements"));
  EXPECT_THAT(with([](ByteWriter &w) {
                w.text("k").put<uint32_t>(9).put<uint32_t>(10).put<uint64_t>(1ull << 62);
              }),
              HasSubstr("metadata key 'k': expected at most 8 u64 elements"));
  EXPECT_THAT(
      with([](ByteWriter &w) { w.text("k").put<uint32_t>(9).put<uint32_t>(9).put<uint64_t>(1); }),
      HasSubstr("metadata key 'k': expected an array of scalars or strings"));
  EXPECT_THAT(with([](ByteWriter &w) { w.text("k").put<uint32_t>(7).put<uint8_t>(2); }),
              HasSubstr("metadata key 'k': expected a bool of 0 or 1, but got 2"));
  EXPECT_THAT(messageOf(GGUFBuilder().string("k", "a").string("k", "b").build()),
              HasSubstr("metadata key 'k': expected each key once"));
}

TEST(GGUFHostileTest, NamesArePrintable) {
  std::string name = "evil\n\x1b[2J" + std::string(500, 'x');
  std::string message = messageOf(GGUFBuilder().tensor(name, 0, {}, {}).build());
  EXPECT_THAT(message, StartsWith("bad.gguf: tensor 'evil??[2Jxxx"));
  EXPECT_LT(message.size(), 200u);
}

TEST(GGUFHostileTest, Alignment) {
  for (uint32_t alignment : {0u, 3u, 4u, 48u, 1u << 31})
    EXPECT_THAT(
        messageOf(
            GGUFBuilder().scalar("general.alignment", GGUFValueType::UInt32, alignment).build()),
        HasSubstr("metadata key 'general.alignment': expected a power of two from 8 to"));
  EXPECT_THAT(messageOf(GGUFBuilder().string("general.alignment", "32").build()),
              HasSubstr("expected an integer, but got a value of type string"));
}

TEST(GGUFHostileTest, Tensors) {
  std::vector<uint8_t> data(64);
  auto one = [&](uint32_t type, std::vector<uint64_t> shape, uint64_t offset) {
    return messageOf(GGUFBuilder().tensorAt("t", type, shape, offset).addData(data).build());
  };
  EXPECT_EQ(one(0, {4, 4}, 0), "");
  EXPECT_THAT(one(0, {}, 0), HasSubstr("tensor 't': expected rank 1 to 4, but got 0"));
  EXPECT_THAT(one(0, {1, 1, 1, 1, 1}, 0), HasSubstr("expected rank 1 to 4, but got 5"));
  EXPECT_THAT(one(0, {4, 0}, 0), HasSubstr("expected dimension 1 to be positive, but got 0"));
  EXPECT_THAT(one(0, {1ull << 63}, 0), HasSubstr("expected dimension 0 to be positive"));
  EXPECT_THAT(one(0, {1ull << 32, 1ull << 32, 1ull << 32, 2}, 0),
              HasSubstr("expected data within the file's"));
  EXPECT_THAT(one(0, {1ull << 62}, 0), HasSubstr("expected data within the file's"));
  EXPECT_THAT(one(4, {4}, 0), HasSubstr("expected a known tensor type, but got type number 4"));
  EXPECT_THAT(one(8, {33}, 0), HasSubstr("rows of a multiple of 32 elements for type q8_0"));
  EXPECT_THAT(one(0, {4}, 16), HasSubstr("expected an offset that is a multiple of 32"));
  EXPECT_THAT(one(0, {4}, 1 << 20), HasSubstr("expected 16 bytes at offset 1048576 of the data"));
  EXPECT_THAT(one(0, {4}, ~31ull), HasSubstr("but the file has 64"));
  EXPECT_THAT(one(0, {16}, 32), HasSubstr("expected 64 bytes at offset 32"));
  EXPECT_THAT(messageOf(GGUFBuilder().tensor("t", 0, {1}, data).tensor("t", 0, {1}, data).build()),
              HasSubstr("tensor 't': expected each tensor once"));
  EXPECT_THAT(
      messageOf(
          GGUFBuilder().tensorAt("a", 0, {16}, 0).tensorAt("b", 0, {4}, 32).addData(data).build()),
      HasSubstr("tensor 'b': expected data of its own, but it overlaps that of 'a'"));
}

} // namespace
} // namespace llmir
