// CacheModel: what a paged cache means: sequences with block tables over a PoolModel, and what was
// written where. Every token that is appended has a tag of its own, so that a sequence which sees
// another one's data is found out. It shares no code with PagedKVCache.

#ifndef LLMIR_UNITTESTS_CACHEMODEL_CACHEMODEL_H
#define LLMIR_UNITTESTS_CACHEMODEL_CACHEMODEL_H

#include "PoolModel.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace llmir::model {

using Tag = uint32_t;

/// What a caller may do to a cache.
struct CacheOperation {
  enum class Kind {
    Append,   ///< `tokens` tokens to each of `sequences`
    Truncate, ///< `sequences[0]` to `tokens` tokens
    Free,     ///< `sequences[0]`
    Fork,     ///< `sequences[0]` into `sequences[1]`
    Hold,     ///< become an owner of the block of `sequences[0]` at `tokens`
    Unhold,   ///< give back the block that has been held longest
    Attach    ///< `sequences[0]` gets the first `tokens` tokens of `sequences[1]`
  };
  Kind kind{};
  std::vector<int> sequences;
  int tokens = 0;
};

std::string describe(const CacheOperation &operation);

/// How an operation ends.
enum class Outcome { Done, NotFound, Invalid, Exhausted, Precondition };

/// Sizes of a model.
struct CacheSizes {
  int numBlocks = 4;
  int numSequences = 3;
  int blockSize = 2;
  int maxSeqLen = 8;
  int maxHeld = 1; ///< Blocks owned apart from sequences; bounds the exploration only.
};

class CacheModel {
public:
  using Operation = CacheOperation;
  struct Sequence {
    std::vector<Ticket> table;
    std::vector<Tag> tokens; ///< What it must read.
  };

  explicit CacheModel(const CacheSizes &sizes)
      : sizes(sizes), pool(sizes.numBlocks),
        memory(sizes.numBlocks, std::vector<Tag>(sizes.blockSize)) {}

  /// What Exploration asks for.
  std::vector<Operation> operations() const;
  bool apply(const Operation &operation) { return perform(operation) == Outcome::Done; }
  std::string key() const;
  std::string check() const;

  /// Whether it says anything in this state: nobody can hold a block that does not exist.
  bool isValid(const Operation &operation) const;
  /// An operation to try, by numbers below a bound from `choose`.
  Operation choose(const std::function<int(int)> &choose) const;

  /// Does it, or leaves everything as it was.
  Outcome perform(const Operation &operation);
  /// Tags of the tokens that the latest append wrote, sequence after sequence.
  const std::vector<Tag> &written() const { return written_; }
  /// Forgets everything but the order of the free blocks, which is as after freeing.
  void clear();

  CacheSizes sizes;
  PoolModel pool;
  std::vector<std::vector<Tag>> memory; ///< [block][token]
  std::map<int, Sequence> sequences;
  std::vector<Ticket> held;

private:
  int blocksFor(int tokens) const { return (tokens + sizes.blockSize - 1) / sizes.blockSize; }
  int blocksNeeded(int sequence, int tokens) const;
  bool lastBlockIsShared(const Sequence &sequence) const;
  Outcome append(const Operation &operation);
  Outcome attach(const Operation &operation);
  void write(Sequence &sequence, Tag tag);
  void shrink(Sequence &sequence, int length);
  std::string keyInOrder(const std::vector<int> &order) const;

  std::vector<Tag> written_;
  Tag nextTag_ = 1;
};

} // namespace llmir::model

#endif // LLMIR_UNITTESTS_CACHEMODEL_CACHEMODEL_H
