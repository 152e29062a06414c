// Published tokenizer vectors: every string of the test data, token for token, and back.

#include "llmir/ModelFiles/Tokenizer.h"

#include "TestData.h"

#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace llmir {
namespace {

std::string readFile(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// The strings of an .inp file, which a marker line separates.
std::vector<std::string> readStrings(const std::string &path) {
  const std::string marker = "\n__ggml_vocab_test__\n";
  std::string text = readFile(path);
  std::vector<std::string> strings;
  size_t start = 0;
  for (size_t found; (found = text.find(marker, start)) != std::string::npos;
       start = found + marker.size())
    strings.push_back(text.substr(start, found - start));
  strings.push_back(text.substr(start));
  return strings;
}

/// The lines of token ids of an .out file.
std::vector<std::vector<int32_t>> readIds(const std::string &path) {
  std::istringstream lines(readFile(path));
  std::vector<std::vector<int32_t>> ids;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    ids.emplace_back(std::istream_iterator<int32_t>(numbers), std::istream_iterator<int32_t>());
  }
  return ids;
}

class VocabularyTest : public testing::TestWithParam<const char *> {};

TEST_P(VocabularyTest, MatchesEveryString) {
  std::string path = sharedDataPath(std::string("vocab/ggml-vocab-") + GetParam() + ".gguf");
  StatusOr<GGUFFile> file = GGUFFile::open(path);
  if (!file && file.status().code() == StatusCode::NotFound)
    GTEST_SKIP() << path << " is not there";
  ASSERT_TRUE(file.isOk()) << file.status().message();
  StatusOr<Tokenizer> tokenizer = Tokenizer::fromGGUF(*file);
  ASSERT_TRUE(tokenizer.isOk()) << tokenizer.status().message();
  std::vector<std::string> strings = readStrings(path + ".inp");
  std::vector<std::vector<int32_t>> expected = readIds(path + ".out");
  ASSERT_GE(strings.size(), expected.size());
  ASSERT_GT(expected.size(), 40u);
  for (size_t i = 0; i < expected.size(); ++i) {
    std::vector<int32_t> ids = tokenizer->encode(strings[i], {AddBOS::No, ParseSpecial::No});
    EXPECT_EQ(ids, expected[i]) << "string " << i << ": " << strings[i];
    EXPECT_EQ(tokenizer->decode(ids), strings[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Published, VocabularyTest, testing::Values("gpt-2", "starcoder"),
                         [](const auto &info) {
                           return std::string(info.param) == "gpt-2" ? "GPT2" : "StarCoder";
                         });

TEST(VocabularyRefusalTest, OtherPreTokenizersAreNamed) {
  std::string path = sharedDataPath("vocab/ggml-vocab-falcon.gguf");
  StatusOr<GGUFFile> file = GGUFFile::open(path);
  if (!file && file.status().code() == StatusCode::NotFound)
    GTEST_SKIP() << path << " is not there";
  ASSERT_TRUE(file.isOk()) << file.status().message();
  StatusOr<Tokenizer> tokenizer = Tokenizer::fromGGUF(*file);
  ASSERT_FALSE(tokenizer.isOk());
  EXPECT_EQ(tokenizer.status().code(), StatusCode::Unimplemented);
  EXPECT_NE(tokenizer.status().message().find("but got 'falcon'"), std::string::npos);
}

} // namespace
} // namespace llmir
