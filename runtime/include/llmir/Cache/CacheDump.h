// CacheDump: who owns which block of a pool, as a record that can be written as JSON, read back and
// drawn as SVG: what one looks at when memory is full. docs/CacheDump.md describes the JSON. It has
// no keys and values.

#ifndef LLMIR_CACHE_CACHEDUMP_H
#define LLMIR_CACHE_CACHEDUMP_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/CheckpointFormat.h"
#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Cache/PrefixTree.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llmir {

/// The owners of a pool's blocks at one moment.
struct CacheDump {
  /// The cache's type.
  struct Layout {
    std::string keyType, valueType;
    int64_t numLayers = 0, numKVHeads = 0, keyHeadDim = 0, valueHeadDim = 0;
    int64_t blockSize = 0, maxSeqLen = 0;
    int64_t blockBytes = 0;
  };
  /// A block, by its index in the list.
  struct Block {
    std::vector<int32_t> sequences;   ///< Ids of those whose tables name it.
    bool isInTree = false;            ///< Owned by the prefix tree.
    int32_t owners = 0;               ///< All of them, others (a branch, a reader) included.
    std::optional<int64_t> freeOrder; ///< Of a free block: 0 is handed out next.
    /// Of a block in use in a live pool: how many blocks were handed out after it.
    std::optional<int64_t> age;
  };
  struct Sequence {
    int32_t id = 0;
    int64_t length = 0; ///< Tokens.
    std::vector<int32_t> blocks;
  };
  /// A block of the prefix tree; parents come before children.
  struct TreeNode {
    std::string key; ///< Hexadecimal digits.
    std::optional<int64_t> parent;
    int64_t tokens = 0;
    std::optional<int32_t> block; ///< Absent when it is on the disk tier only.
    int64_t priority = 0;
    int64_t pins = 0;
    uint64_t lastUse = 0;
  };
  /// Of the prefix tree, since it was made.
  struct Statistics {
    int64_t matches = 0;
    int64_t tokensAsked = 0, tokensMatched = 0;
    int64_t blocksInserted = 0, blocksEvicted = 0;
    int64_t pagesWritten = 0, pagesRead = 0;
  };
  /// How the blocks are used; each is counted once.
  struct Counts {
    int64_t free = 0;
    int64_t ofOneSequence = 0; ///< Named by one sequence and nobody else.
    int64_t shared = 0;        ///< Named by a sequence and by somebody else.
    int64_t ofTreeAlone = 0;
    int64_t ofOthers = 0;    ///< In use, but by no sequence and no tree.
    int64_t slackTokens = 0; ///< Room behind the ends of sequences.
  };

  /// For how long the blocks that have an age have been held.
  struct Ages {
    int64_t median = 0;
    int64_t oldest = 0;
    int64_t blocks = 0;      ///< That have an age.
    int64_t pastOneTurn = 0; ///< Of an age of at least the number of blocks in the pool.
  };

  std::string source; ///< `live pool`, or the name of a checkpoint.
  Layout layout;
  std::vector<Block> blocks;
  std::vector<Sequence> sequences;
  std::vector<TreeNode> tree;
  std::optional<Statistics> statistics;

  Counts counts() const;
  /// Absent when no block has an age.
  std::optional<Ages> ages() const;
  /// The largest age of the blocks that no other sequence names; absent when none has one.
  std::optional<int64_t> oldestBlock(const Sequence &sequence) const;

  /// Ages in steps of turns, which are as many allocations as the pool has blocks: below 1/4, 1/2,
  /// 1, 2 and 4 turns, and more.
  static constexpr size_t numAgeSteps = 6;
  static size_t ageStep(int64_t age, size_t numBlocks);
};

/// Records a cache and, if there is one, its prefix tree. Errors are the cache's.
StatusOr<CacheDump> dumpCache(const PagedKVCache &cache, const PrefixTree *tree = nullptr);
/// What the pool would hold after the checkpoint is loaded alone; no blocks if it is of another
/// ABI.
CacheDump dumpCheckpoint(const CheckpointManifest &manifest);

/// One line of JSON (docs/CacheDump.md).
std::string toJson(const CacheDump &dump);
/// Reads it back; InvalidArgument says which field does not fit.
StatusOr<CacheDump> parseCacheDump(std::string_view json);

/// A picture: the blocks coloured by owner, the legend, the tree, the hit rate.
std::string toSvg(const CacheDump &dump);

} // namespace llmir

#endif // LLMIR_CACHE_CACHEDUMP_H
