// PrefixModel: what a prefix tree over a paged cache means: blocks known by all the tokens up to
// their end, kept in memory or on a disk, evicted least recently used and tail first. What a token
// writes is a function of the tokens before it and of the namespace, so that a sequence which is
// given another's prefix is found out. It shares no code with PrefixTree.

#ifndef LLMIR_UNITTESTS_CACHEMODEL_PREFIXMODEL_H
#define LLMIR_UNITTESTS_CACHEMODEL_PREFIXMODEL_H

#include "PoolModel.h"

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace llmir::model {

using Tag = uint32_t;

/// A namespace and all tokens from the start.
struct Path {
  int space = 0;
  std::vector<int> tokens;

  friend auto operator<=>(const Path &, const Path &) = default;
};

/// What the token at the end of a path writes.
Tag tagOf(const Path &path);
/// The tags of all tokens of a path.
std::vector<Tag> tagsOf(const Path &path);

struct PrefixOperation {
  enum class Kind {
    Start,  ///< `sequence` with the prompt `path`: the longest known prefix, then the rest
    Append, ///< one token, `token`, to `sequence`
    Keep,   ///< the tree remembers `sequence`
    Finish, ///< the same, then it is freed
    Drop,   ///< it is freed
    Fork,   ///< `sequence` into `other`
    Evict,  ///< up to `token` blocks
    Pin,    ///< the full blocks of `path`
    Unpin,
    Clear ///< the tree forgets what is not pinned; in which order is its own business
  };
  Kind kind{};
  int sequence = 0;
  int other = 0;
  int token = 0;
  Path path;
};

std::string describe(const PrefixOperation &operation);

struct PrefixSizes {
  int numBlocks = 4;
  int numSequences = 3;
  int blockSize = 2;
  int maxSeqLen = 6;
  int numPages = 0;          ///< Of the disk.
  int maxPins = 1;           ///< Different blocks; bounds the exploration.
  std::vector<Path> prompts; ///< For operations(); choose() makes its own.
};

class PrefixModel {
public:
  using Operation = PrefixOperation;
  struct Sequence {
    Path path;
    std::vector<Ticket> table;
  };
  struct Node {
    std::optional<Ticket> block; ///< When it is in memory.
    bool isOnDisk = false;
    int lastUse = 0;
  };

  explicit PrefixModel(const PrefixSizes &sizes)
      : sizes(sizes), pool(sizes.numBlocks),
        memory(size_t(sizes.numBlocks), std::vector<Tag>(size_t(sizes.blockSize))) {}

  /// What Exploration and checkMachine ask for.
  std::vector<Operation> operations() const;
  bool isValid(const Operation &operation) const;
  Operation choose(const std::function<int(int)> &choose) const;
  bool apply(const Operation &operation);
  std::string key() const;
  std::string check() const;

  int numPages() const;
  int numMemoryBlocks() const;
  int numPins(const Path &node) const;

  /// Where the meaning leaves a choice, says whether to take this one; without, the first is taken.
  enum class Choice { BlockSharedInPart, PageGivenUp };
  std::function<bool(Choice choice, const Path &node)> prefers;

  PrefixSizes sizes;
  PoolModel pool;
  std::vector<std::vector<Tag>> memory; ///< [block][token]
  std::map<int, Sequence> sequences;
  std::map<Path, Node> nodes; ///< By all tokens up to the end of the block.
  std::map<Path, int> pins;   ///< How often blocks are pinned, by all tokens up to their end.

private:
  struct Match {
    std::vector<Ticket> blocks;
    int length = 0;
  };
  int length(int sequence) const;
  Path parentOf(const Path &node) const;
  bool hasChild(const Path &node, bool inMemory) const;
  Match match(const Path &prompt);
  void matchInPart(const Path &prompt, Match &found);
  bool load(const Path &node);
  bool start(int id, const Path &prompt);
  bool append(Sequence &sequence, const std::vector<int> &tokens);
  void keep(const Sequence &sequence);
  void drop(int id);
  bool pin(const Path &path);
  bool unpin(const Path &path);
  int evict(int count);
  void evictLeaf(const Path &leaf);
  void giveUp(Ticket block);
  bool obtainPage();
  void remove(const Path &node);
  std::string keyInOrder(const std::vector<int> &order) const;

  int useCount_ = 0;
  std::set<Path> protected_; ///< Not to be evicted at the moment.
};

} // namespace llmir::model

#endif // LLMIR_UNITTESTS_CACHEMODEL_PREFIXMODEL_H
