// Random choices, and random cache types that verify.

#ifndef LLMIR_UNITTESTS_MODULEFUZZ_CACHETYPEGENERATOR_H
#define LLMIR_UNITTESTS_MODULEFUZZ_CACHETYPEGENERATOR_H

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>

namespace llmir::testing {

/// Choices that a seed decides, the same on every host.
class RandomChoices {
public:
  explicit RandomChoices(uint64_t seed) : engine(seed) {}

  /// In low..high.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine() % static_cast<uint64_t>(high - low + 1));
  }
  /// True in so many of a hundred cases.
  bool percent(int64_t share) { return between(1, 100) <= share; }
  template <typename T> T oneOf(std::initializer_list<T> choices) {
    return *(choices.begin() + between(0, static_cast<int64_t>(choices.size()) - 1));
  }
  std::string word(std::initializer_list<const char *> choices) {
    return oneOf<const char *>(choices);
  }

private:
  std::mt19937_64 engine;
};

/// A cache type and what ops over it need to know.
struct CacheChoice {
  std::string type;
  std::string element;
  int64_t layers, kvHeads, keyDim, valueDim, blockSize, maxSeqLen, window, sinks;

  int64_t maxBlocks() const { return (maxSeqLen + blockSize - 1) / blockSize; }
};

/// Any cache type; with `layers` of 0 as many as it likes.
CacheChoice chooseCache(RandomChoices &random, int64_t layers = 0);

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_MODULEFUZZ_CACHETYPEGENERATOR_H
