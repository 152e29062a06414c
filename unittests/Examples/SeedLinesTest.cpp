// The examples show the project's first description as it was written: every line of code of its
// C++ sections about the cache is in the section's example, unchanged and in order. Skipped aloud
// when the description is absent.

#include "../ModelFiles/TestData.h"

#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace {

struct Section {
  const char *heading, *example;
  size_t numLines; ///< Of code, comments included; blank ones not.

  friend void PrintTo(const Section &section, std::ostream *stream) { *stream << section.heading; }
};

/// The lines of a file; nothing if there is none.
std::optional<std::vector<std::string>> readLines(const std::string &path) {
  std::ifstream file(path);
  if (!file)
    return std::nullopt;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  return lines;
}

/// The lines of the first C++ listing under a heading.
std::vector<std::string> listingOf(const std::vector<std::string> &text,
                                   const std::string &heading) {
  std::vector<std::string> listing;
  bool isInSection = false, isInListing = false;
  for (const std::string &line : text) {
    if (isInListing && line == "```")
      break;
    if (isInListing && !line.empty())
      listing.push_back(line);
    if (!isInListing && line.starts_with("#"))
      isInSection = line == heading;
    isInListing = isInListing || (isInSection && line == "```cpp");
  }
  return listing;
}

/// Where the description names a folder that nobody has, the example names its own.
std::string withOwnFolder(std::string line) {
  const std::string theirs = "\"/path/to/checkpoints\"";
  if (size_t at = line.find(theirs); at != std::string::npos)
    line.replace(at, theirs.size(), "\"checkpoints\"");
  return line;
}

class SeedLinesTest : public testing::TestWithParam<Section> {};

} // namespace

TEST_P(SeedLinesTest, AreInTheExampleUnchanged) {
  std::string path = llmir::sharedDataPath("../spec/SEED.md");
  auto text = readLines(path);
  if (!text)
    GTEST_SKIP() << "no description at " << path;
  std::vector<std::string> listing = listingOf(*text, GetParam().heading);
  ASSERT_EQ(listing.size(), GetParam().numLines);
  auto example = readLines(std::string(LLMIR_SOURCE_DIR "/examples/") + GetParam().example);
  ASSERT_TRUE(example.has_value()) << GetParam().example;
  size_t at = 0;
  for (const std::string &line : listing) {
    while (at < example->size() && (*example)[at] != withOwnFolder(line))
      ++at;
    ASSERT_LT(at, example->size()) << "not in " << GetParam().example << " in order: " << line;
    ++at;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sections, SeedLinesTest,
    testing::Values(Section{"### C++ Runtime API", "KVCache.cpp", 6},
                    Section{"### Quantized KV Cache", "QuantizedKVCache.cpp", 9},
                    Section{"### Multi-GPU Distributed KV Cache", "DistributedKVCache.cpp", 10},
                    Section{"### Checkpointing", "Checkpointing.cpp", 8},
                    Section{"### Speculative Decoding", "SpeculativeDecoding.cpp", 15},
                    Section{"### Prefix Caching", "PrefixCaching.cpp", 13},
                    Section{"### Adaptive Block Management", "AdaptiveBlocks.cpp", 17}));
