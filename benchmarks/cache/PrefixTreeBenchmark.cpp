// What the prefix tree costs for a prompt of 8192 tokens when it holds a million blocks: matching
// and inserting, with keys to be computed and with keys known.

#include "Measure.h"

#include "llmir/Cache/PrefixTree.h"

#include <cstdlib>
#include <random>

using namespace llmir;
using namespace llmir::benchmark;

namespace {

constexpr int64_t blockSize = 16, promptLength = 8192, promptBlocks = promptLength / blockSize;
constexpr int64_t numPrompts = 2048; // of which each has its own blocks: a million together

void require(bool holds) {
  if (!holds)
    std::abort();
}

using Tokens = std::vector<int32_t>;

/// The tokens of prompt `number`; so many that keeping them would disturb what is measured.
Tokens promptTokens(int64_t number) {
  std::mt19937 random(static_cast<uint32_t>(number));
  Tokens tokens(promptLength);
  for (int32_t &token : tokens)
    token = static_cast<int32_t>(random() % 128256);
  return tokens;
}

PrefixKeyChain keysOf(const Tokens &tokens) {
  PrefixKeyChain keys(PrefixNamespace{}, blockSize);
  keys.extend(tokens);
  return keys;
}

class Benchmark {
public:
  Benchmark()
      : cache_(1, 1, 1, blockSize, promptLength, ElementType::F16, (numPrompts + 1) * promptBlocks),
        tree_(cache_) {
    require(tree_.status().isOk());
    cache_.setReclaimer(&tree_);
    fill();
  }

  void run() {
    printFigure("blocks in the tree", double(tree_.statistics().memoryBlocks) / 1e6, "million");
    for (bool known : {false, true}) {
      const char *unit = "us of 8192 tokens";
      printAtMost(known ? "match, keys known" : "match, hashing", 1e6 * match(known), unit,
                  known ? 60 : 300);
      printAtMost(known ? "insert, keys known" : "insert, hashing", 1e6 * insert(known), unit,
                  known ? 120 : 600);
    }
    printFigure("the hashing alone", 1e6 * hash(), "us of 8192 tokens");
    printFigure("evict", 1e9 / promptBlocks * evict(), "ns a block");
  }

private:
  /// Prompts grow in turns, as conversations do, so that no path lies together in memory.
  void fill() {
    std::vector<Tokens> prompts;
    std::vector<PrefixKeyChain> keys;
    for (int64_t i = 0; i < numPrompts; ++i) {
      prompts.push_back(promptTokens(i));
      keys.push_back(keysOf(prompts.back()));
    }
    CacheStepTables tables;
    for (int64_t turn = 1; turn <= promptBlocks; ++turn)
      for (int64_t i = 0; i < numPrompts; ++i) {
        SequenceId sequence{static_cast<int32_t>(i)};
        std::vector<AppendRequest> request = {{sequence, blockSize}};
        require(cache_.reserve(request, tables).isOk());
        std::span<const int32_t> tokens(prompts[static_cast<size_t>(i)]);
        require(*tree_.insert(keys[static_cast<size_t>(i)],
                              tokens.first(static_cast<size_t>(turn * blockSize)),
                              *cache_.blocks(sequence)) == 1);
      }
    for (int64_t i = 0; i < numPrompts; ++i)
      require(cache_.freeSequence(SequenceId{static_cast<int32_t>(i)}).isOk());
  }

  template <typename Body> static double medianOver(Body body) {
    std::vector<double> seconds;
    for (int64_t round = 0; round < 101; ++round)
      seconds.push_back(body(round));
    return median(seconds);
  }

  double match(bool known) {
    return medianOver([&](int64_t round) {
      Tokens tokens = promptTokens(round * 769 % numPrompts);
      PrefixKeyChain keys = keysOf(tokens);
      int64_t length = 0;
      double seconds = secondsOf(
          [&] { length = known ? tree_.match(keys, tokens).length : tree_.match(tokens).length; });
      require(length == promptLength - 1);
      return seconds;
    });
  }

  double insert(bool known) {
    return medianOver([&](int64_t round) {
      Tokens tokens = promptTokens((known ? 20000 : 10000) + round);
      PrefixKeyChain keys = keysOf(tokens);
      CacheStepTables tables;
      SequenceId sequence{-1};
      std::vector<AppendRequest> request = {{sequence, promptLength}};
      require(cache_.reserve(request, tables).isOk());
      std::span<const BlockId> blocks = *cache_.blocks(sequence);
      int64_t count = 0;
      double seconds = secondsOf([&] {
        count = known ? *tree_.insert(keys, tokens, blocks) : *tree_.insert(tokens, blocks);
      });
      require(count == promptBlocks && cache_.freeSequence(sequence).isOk());
      return seconds;
    });
  }

  double hash() {
    return medianOver([&](int64_t round) {
      Tokens tokens = promptTokens(round);
      return secondsOf([&] { keep(keysOf(tokens).blocks().data()); });
    });
  }

  double evict() {
    return medianOver([&](int64_t) {
      return secondsOf([&] { require(tree_.evict(promptBlocks) == promptBlocks); });
    });
  }

  PagedKVCache cache_;
  PrefixTree tree_;
};

} // namespace

int main() { Benchmark().run(); }
