// Same bytes through SpeculativeKVCache: drafts are computed by the compiled step on a branch, as a
// chain and as a tree, then committed or rolled back; what the sequence computes afterwards is what
// it computes without drafts, in a pool that is full to the last block.

#include "SameBytesFixture.h"

#include "llmir/Cache/SpeculativeKVCache.h"

using namespace llmir;
using namespace llmir::testing;

namespace {

class SpeculativeBytesTest : public SameBytesTest {
protected:
  /// A cache with branches, with the model's step over it, and the prompt in it.
  struct Speculating {
    Speculating(const LoadedModel &model, WorkerTeam &team, int64_t numBlocks)
        : speculative(model.manifest().caches.front(),
                      {.maxDraftTokens = 24, .enableTreeAttention = true}, numBlocks),
          served(model, team, speculative.cache()) {
      EXPECT_TRUE(speculative.status().isOk()) << speculative.status().message();
      speculative.cache().shuffleFreeBlocks(23);
    }
    ~Speculating() {
      Status status = speculative.checkInvariants();
      EXPECT_TRUE(status.isOk()) << status.message();
    }
    int32_t branch(int32_t sequence) {
      int32_t id = -1;
      Status status = speculative.createBranch(sequence, id);
      EXPECT_TRUE(status.isOk()) << status.message();
      return id;
    }
    Logits draft(int32_t sequence, int32_t branch, const Tokens &tokens,
                 const std::vector<int32_t> &parents) {
      return served.draft(speculative, sequence, branch, tokens, parents);
    }

    SpeculativeKVCache speculative;
    ServedSequences served;
  };

  /// Rows `first` to before `last` of some logits.
  Logits rowsOf(const Logits &logits, size_t first, size_t last) const {
    return {logits.begin() + int64_t(first * vocabulary),
            logits.begin() + int64_t(last * vocabulary)};
  }
  /// By how much `actual` differs from the rows of `expected` from `first` on: root mean square, as
  /// a fraction of theirs.
  double difference(const Logits &actual, const Logits &expected, size_t first) const {
    double squares = 0, all = 0;
    for (size_t i = 0; i < actual.size(); ++i) {
      double wanted = double(expected[first * vocabulary + i]), error = double(actual[i]) - wanted;
      squares += error * error;
      all += wanted * wanted;
    }
    return std::sqrt(squares / all);
  }
  /// `limit` is for the difference of the moved path's logits from a cold cache's.
  void commitPathThatMoves(double limit);
  static std::vector<int32_t> chain(int32_t count) {
    std::vector<int32_t> parents;
    for (int32_t i = 0; i < count; ++i)
      parents.push_back(i - 1);
    return parents;
  }
};

} // namespace

TEST_P(SpeculativeBytesTest, CommittedChain) {
  Logits expected = cold(continued);
  Speculating cache(*model, *team, 8);
  cache.served.feed(asked, prompt);
  size_t length = prompt.size();
  // Over the end of a block and within one: all, some, one, none of the drafts are right.
  for (auto [drafts, right] : {std::pair<size_t, size_t>{5, 5}, {8, 3}, {3, 1}, {2, 0}}) {
    Tokens tokens = makeTokens(uint32_t(drafts), drafts);
    std::copy_n(continued.begin() + int64_t(length), right, tokens.begin());
    int32_t wrongBranch = cache.branch(asked), branch = cache.branch(asked);
    cache.draft(asked, wrongBranch, makeTokens(99, 4), chain(4));
    Logits rows = cache.draft(asked, branch, tokens, chain(int32_t(drafts)));
    cache.served.fillPool(strangers);
    if (right > 0)
      expectRows(rowsOf(rows, 0, right), expected, length);
    Status status = cache.speculative.commitSpeculation(asked, branch, int64_t(right));
    ASSERT_TRUE(status.isOk()) << status.message();
    cache.served.freeFrom(strangers);
    length += right;
    cache.served.fillPool(strangers);
    if (length % 16 != 0) {
      expectRows(cache.served.feed(asked, slice(continued, length, length + 1)), expected, length);
      ++length;
    }
    cache.served.freeFrom(strangers);
  }
  expectRows(cache.served.feed(asked, slice(continued, length, 70)), expected, length);
}

TEST_P(SpeculativeBytesTest, RolledBackTree) {
  Logits expected = cold(continued);
  Speculating cache(*model, *team, 7);
  cache.served.feed(asked, prompt);
  for (size_t length : {size_t(53), size_t(58), size_t(63)}) {
    int32_t branch = cache.branch(asked);
    cache.draft(asked, branch, makeTokens(uint32_t(length), 20),
                {-1, -1, 0, 0, 1, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, -1, 16, 17, 17});
    cache.served.fillPool(strangers);
    Status status = cache.speculative.rollbackSpeculation(asked, branch);
    ASSERT_TRUE(status.isOk()) << status.message();
    EXPECT_EQ(*cache.served.cache.length(SequenceId{asked}), int64_t(length));
    expectRows(cache.served.feed(asked, slice(continued, length, length + 5)), expected, length);
    cache.served.freeFrom(strangers);
  }
}

// The path that is committed is the tree's first tokens: nothing moves, and what stands beside it
// is not seen.
TEST_P(SpeculativeBytesTest, CommittedFirstPathOfATree) {
  Logits expected = cold(continued);
  Speculating cache(*model, *team, 8);
  cache.served.feed(asked, prompt);
  Tokens tokens = slice(continued, 53, 58), beside = makeTokens(5, 6);
  tokens.insert(tokens.end(), beside.begin(), beside.end());
  int32_t branch = cache.branch(asked);
  Logits rows = cache.draft(asked, branch, tokens, {-1, 0, 1, 2, 3, /*beside*/ -1, 5, 0, 7, 2, 9});
  cache.served.fillPool(strangers);
  expectRows(rowsOf(rows, 0, 5), expected, 53);
  Status status =
      cache.speculative.commitSpeculation(asked, branch, std::vector<int32_t>{0, 1, 2, 3, 4});
  ASSERT_TRUE(status.isOk()) << status.message();
  cache.served.freeFrom(strangers);
  expectRows(cache.served.feed(asked, slice(continued, 58, 70)), expected, 58);
}

// A path from the middle of a tree, whose tokens are moved together. They were computed at other
// places than a chain's, and a score's place decides in which order it is summed: their logits are
// a cold cache's to within rounding only, but the same bytes wherever the blocks are and whoever
// has the others. Nothing else of the tree stays: computed again, the path has a cold cache's
// bytes.
void SpeculativeBytesTest::commitPathThatMoves(double limit) {
  Logits expected = cold(continued);
  // Tokens 1, 3, 4 and 7 are right.
  Tokens tokens = makeTokens(6, 9);
  const std::vector<int32_t> parents = {-1, -1, 0, 1, 3, 3, 2, 4, 7}, path = {1, 3, 4, 7};
  for (size_t i = 0; i < path.size(); ++i)
    tokens[size_t(path[i])] = continued[53 + i];
  Logits first;
  for (int64_t numBlocks : {8, 11}) {
    Speculating cache(*model, *team, numBlocks);
    cache.served.feed(asked, prompt);
    int32_t branch = cache.branch(asked);
    Logits drafts = cache.draft(asked, branch, tokens, parents), rows;
    cache.served.fillPool(strangers);
    for (int32_t token : path) {
      Logits row = rowsOf(drafts, size_t(token), size_t(token) + 1);
      rows.insert(rows.end(), row.begin(), row.end());
    }
    Status status = cache.speculative.commitSpeculation(asked, branch, path);
    ASSERT_TRUE(status.isOk()) << status.message();
    cache.served.freeFrom(strangers);
    Logits later = cache.served.feed(asked, slice(continued, 57, 64));
    rows.insert(rows.end(), later.begin(), later.end());
    if (first.empty())
      first = rows;
    expectRows(rows, first, 0);
    EXPECT_LE(difference(rows, expected, 53), limit);
    ASSERT_TRUE(cache.served.cache.truncate(SequenceId{asked}, 53).isOk());
    expectRows(cache.served.feed(asked, slice(continued, 53, 70)), expected, 53);
  }
}

// Activations are rounded to int8 in each of 30 layers, and stored keys to codes, so that sums in
// another order become other roundings (with 4 bits 3.4 %; ExactSpeculationTest has none).
TEST_P(SpeculativeBytesTest, CommittedPathThatMoves) { commitPathThatMoves(0.05); }

/// The storages, for steps that take trees of drafts.
static std::vector<KVStorage> treeStorages() {
  using mlir::llm::CompileOptions;
  using mlir::llm::KVElementType;
  return {{"F16Trees", [](CompileOptions &o) { o.import.takesTreeMasks = true; }},
          {"I8Trees",
           [](CompileOptions &o) {
             o.import.takesTreeMasks = true;
             o.import.kvElementType = KVElementType::I8;
           }},
          {"I4Trees", [](CompileOptions &o) {
             o.import.takesTreeMasks = true;
             o.import.kvElementType = KVElementType::I4;
           }}};
}

INSTANTIATE_TEST_SUITE_P(Storage, SpeculativeBytesTest, ::testing::ValuesIn(treeStorages()),
                         [](const ::testing::TestParamInfo<KVStorage> &info) {
                           return std::string(info.param.name);
                         });

// Without roundings in between, what the order of sums makes is all that is left.
using ExactSpeculationTest = SpeculativeBytesTest;
TEST_P(ExactSpeculationTest, CommittedPathThatMoves) { commitPathThatMoves(1e-4); }

INSTANTIATE_TEST_SUITE_P(Storage, ExactSpeculationTest,
                         ::testing::Values(KVStorage{"F32Trees",
                                                     [](mlir::llm::CompileOptions &o) {
                                                       o.import.takesTreeMasks = true;
                                                       o.activations =
                                                           mlir::llm::ActivationType::F32;
                                                       o.import.kvElementType =
                                                           mlir::llm::KVElementType::F32;
                                                     }}),
                         [](const ::testing::TestParamInfo<KVStorage> &info) {
                           return std::string(info.param.name);
                         });
