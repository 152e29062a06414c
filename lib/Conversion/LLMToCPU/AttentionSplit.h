// What the steps of a split's arithmetic (scores, softmax, values, prefetching) share: sizes, the
// function's arguments, and where things are in scratch and in the cache. One file for each step;
// AttentionSplit.cpp puts them together.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_ATTENTIONSPLIT_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_ATTENTIONSPLIT_H

#include "AttentionState.h"
#include "AttentionWords.h"
#include "CacheAddress.h"

namespace mlir::llm {

/// Neighbouring elements: (first one, how many).
using Part = std::pair<int64_t, int64_t>;

/// How many rows and vectors a loop carries in registers.
struct RegisterTile {
  int64_t rows;
  int64_t vectors;

  /// For `rows` rows in all, on a target of `lanes`; each vector has sums for `streams`.
  RegisterTile(const CacheSide &side, int64_t allRows, int64_t lanes, int64_t streams);
};

/// The loops over the scores of a tile: groups of blocks, chunks of rows, channels.
struct ScorePlan {
  ScorePlan(const CacheSide &keys, int64_t rows, int64_t lanes, int64_t blockKeys, int64_t blocks);

  RegisterTile registers;
  SmallVector<Part> ofBlock; ///< Vectors of a block's keys.
  int64_t atOnce;            ///< Blocks of a group.
  int64_t unrolling;         ///< Units of a step of the inner loop.
  int64_t stepsOfGroup;
  int64_t steps; ///< Of the first chunk of rows, over the tile.

  /// Integer dots instead.
  void useWords(const KeyWords &words, const CacheSide &keys, int64_t blocks);
};

/// The loops over the values of a tile: passes over channels, chunks of rows, blocks, keys.
struct ValuePlan {
  ValuePlan(const CacheSide &values, int64_t rows, int64_t lanes, int64_t blockKeys,
            int64_t blocks);

  RegisterTile registers;
  int64_t channels;  ///< Units that share a scale.
  int64_t width;     ///< Lanes of most vectors.
  int64_t pass;      ///< Units of a pass.
  int64_t unrolling; ///< Keys of a step of the inner loop.
  int64_t stepsOfBlock;
  int64_t stepsOfPass;
  int64_t steps; ///< Of the first chunk of rows, over the tile.

  /// Integer dots instead, of vectors of `bytes`.
  void useWords(const CacheSide &values, int64_t bytes, int64_t blockKeys, int64_t blocks);
};

/// What the worker reads after the tile at hand: in the split's next tile, or where it goes on.
struct TilePlace {
  Value tableRow, lastBlock; ///< First entry of the sequence, and its last block.
  Value layer, head, key;
};

/// Fetches a tile ahead, a part with each step of the loops over the tile before it. Blocks lie
/// anywhere and start with a miss in every translation cache; so all blocks of a tile are fetched
/// side by side, line by line, which keeps several times as many misses in flight as one block
/// after another. Into the second cache level, whose misses are more; the first one's prefetcher
/// does the rest.
class TilePrefetch {
public:
  TilePrefetch(KernelBuilder &b, const AttentionKernel &kernel, Value base, Value table);

  /// Chooses the tile and fetches the scales of its blocks.
  void start(const TilePlace &place);
  /// Fetches the `step`-th of `steps` parts.
  void emit(Value step, int64_t steps);
  /// Fetches all of it.
  void emitAll();

private:
  /// Lines at the same distances from each of some addresses.
  struct Region {
    int64_t first, count; ///< The addresses: of `addresses`.
    int64_t runs, runLines, runStride;
    int64_t lines() const { return runs * runLines; }
  };
  void emit(const Region &region, Value step, int64_t steps);
  void emitStep(const Region &region, Value step, int64_t perStep);
  void emitLine(Value address);

  KernelBuilder &b;
  const llmir_cache_layout &layout;
  Value base, table, addresses;
  int64_t tileKeys, blocks;
  SmallVector<Region> regions;
};

/// The function that fetches a tile. Arguments: cache base, table, table row, last block, layer, KV
/// head, first key.
func::FuncOp getPrefetchFunction(KernelLibrary &library, const AttentionKernel &kernel);

/// A split as its steps see it, while they emit the code for one tile of its keys.
class SplitContext {
public:
  SplitContext(KernelBuilder &b, KernelLibrary &library, const AttentionKernel &kernel,
               int64_t tokens, ValueRange arguments);

  /// The types of the function's arguments.
  static SmallVector<Type> argumentTypes(KernelLibrary &library, const AttentionKernel &kernel);

  //===--- Scratch ---===//

  Value queryAt(Value row, Value channel);
  Value weightAt(Value group, Value row, Value key);
  Value valueScaleAt(Value group, Value key);
  Value queryOffsetAt(Value group, Value row);
  Value queryWordsAt(Value row, Value element);
  Value queryScaleAt(Value row);
  Value weightWordsAt(Value group, Value row, Value pair);
  Value weightScaleAt(Value group, Value row);
  Value valueOffsetAt(Value group, Value row);
  Value rescaleAt(Value row);
  Value tileTotalAt(Value row);
  Value keyPositionAt(Value key);

  //===--- Cache ---===//

  /// Starts a tile.
  void enterTile(Value firstKey);
  /// Fetches a part of the next tile, with each inner step of the scores (numbered from 0) and then
  /// of the values.
  void prefetchAtScore(Value step) { prefetch.emit(step, scorePlan.steps + valuePlan.steps); }
  void prefetchAtValue(Value step) { prefetchAtScore(b.add(step, b.index(scorePlan.steps))); }
  /// The keys of the tile's block number `index`; of the sequence's last block where it has no
  /// more.
  Value blockAddress(Value index);
  /// The tile's first key in its block, where a tile is a part of a block; else null: 0.
  Value insideBlock() const { return inBlock; }
  /// Reads neighbouring elements as vectors, one for each part.
  /// `address` gives that of a part; parts p and p + 1 adjoin where `adjoin(p)`.
  Value loadPart(const CacheSide &side, ArrayRef<Part> parts, size_t p, int64_t stream,
                 llvm::function_ref<Value(size_t)> address, llvm::function_ref<bool(size_t)> adjoin,
                 SmallVectorImpl<Value> &loaded);

  /// Calls `body` for chunks of rows: (first row, rows, whether it is the first chunk).
  void forEachChunk(int64_t perChunk, llvm::function_ref<void(Value, int64_t, bool)> body);

  /// The position of a row's token: its place in the cache where no positions are given.
  Value positionOf(Value row);

  KernelBuilder &b;
  KernelLibrary &library;
  const AttentionKernel &kernel;
  const llmir_cache_layout &layout;
  CacheSide keys, values;
  int64_t lanes, group, rows, tokens, tileKeys;
  int64_t blocksPerTile, blockKeys; ///< Blocks of a tile, and keys of each that are in it.
  AttentionScratch at;
  Value base, table, tableRow, layer, head, token, visible, begin, end, scratch;
  AttentionState state;
  Value followKey, followHead; ///< What the worker attends to after this split.
  Value lastBlock;             ///< Of the sequence.
  Value treeBegin, treeMask, hasTree;
  Value positionBegin, positions, firstToken;
  /// With a window: the first key that some row sees, and the first that all rows see.
  Value windowBegin, lastWindowBegin;
  std::optional<KeyWords> keyWords; ///< None: keys are multiplied as f32.
  bool hasValueWords;               ///< Values are multiplied as integers.
  bool hasPairDots;                 ///< Keys and values are multiplied as pairs of bf16.
  ScorePlan scorePlan;
  ValuePlan valuePlan;
  TilePrefetch prefetch; ///< Of the next tile.

private:
  bool tilesAreParts() const { return blocksPerTile == 1 && tileKeys < layout.block_size; }

  Value firstBlock, inBlock; ///< Of the tile.
};

/// Fetches the tile's values from the second cache level into the first, while softmax reads
/// nothing: passes over their channels leave out every other line, which the processor's own
/// fetching does not follow.
void emitValueFetch(SplitContext &split);

/// vdpbf16ps: `sums` plus the two products of each lane's pairs of bf16, the second first.
Value emitPairDots(SplitContext &split, Value sums, Value pairs, Value factors);

/// Copies the stored value scales of a block, at `address` and from `column` of the tile, to
/// scratch, so that softmax finds those of a tile side by side.
void emitValueScales(SplitContext &split, Value address, Value column);
/// Scores of the tile's keys, into the weights' scratch.
void emitScores(SplitContext &split, Value valid);
/// Turns a tile's scores into weights and updates each row's maximum, total and rescale.
void emitSoftmax(SplitContext &split, Value firstKey);
/// Adds the weighted values of the tile to the rows' sums.
void emitValues(SplitContext &split, Value firstKey, Value valid);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_ATTENTIONSPLIT_H
