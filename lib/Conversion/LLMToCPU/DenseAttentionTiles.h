// The parts of which techniques of dense attention are made, as code in front of a builder:
// packing, products over register tiles, masks and softmax weights. See DenseAttention.h for their
// names.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_DENSEATTENTIONTILES_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_DENSEATTENTIONTILES_H

#include "DenseAttention.h"

namespace mlir::llm {

/// Where the scores or weights of some rows lie: column c of row r at `offset` + r * `stride` + c.
struct DenseMatrix {
  Value memory; ///< memref<?xf32>
  Value offset, stride;
};

/// What a row knows of its scores: row r has its sums of weights, [lanes], at `offset` + r *
/// `stride` and behind them its largest score.
using DenseRowStates = DenseMatrix;

/// An op's mask: row 0 of head 0 of the sequence is at element `offset` of `bytes`.
struct DenseMask {
  Value bytes, offset, headStride, rowStride;
};

/// Some rows of a block against a tile of keys.
struct DenseTile {
  Value row;      ///< Of the block; the first.
  Value ownRow;   ///< The same, counted from the sequence's first.
  Value shift;    ///< Position of the sequence's first token.
  Value head;     ///< KV head.
  Value firstKey; ///< Of the tile.
  Value valid;    ///< Keys that the tile has.
  DenseMask mask;

  static SmallVector<Type> types(KernelLibrary &library, const DenseAttentionKernel &kernel);
  static DenseTile take(const DenseAttentionKernel &kernel, ValueRange &arguments);
  SmallVector<Value> values() const;
};

/// What rows see of a tile.
struct DenseView {
  Value isSeen; ///< Whether any row sees any key.
  Value isFull; ///< Whether every row sees every key.
  Value keys;   ///< Keys beyond these are seen by no row.
};

class DenseEmitter {
public:
  DenseEmitter(KernelBuilder &builder, KernelLibrary &library, const DenseAttentionKernel &kernel,
               Value scratch)
      : b(builder), library(library), kernel(kernel), tiling(kernel, library.target().lanes),
        scratch(scratch) {}

  // Packing (DenseAttentionTiles.cpp).

  /// Copies `rows` rows of a task's block from `row` on, scaled, and clears their sums.
  void packQuery(const DenseTask &task, Value query, Value row, Value rows);
  void packKeys(Value keys, Value firstRow, Value valid, Value head);
  /// Keys from `valid` to the next multiple of kProductKeys become zeros.
  void packValues(Value values, Value firstRow, Value valid, Value head);
  /// Divides the sums of `rows` rows by their weights and writes them from `row` of the task on.
  /// `sinks`: bytes and the byte of the first logit, or null.
  void writeOutput(const DenseTask &task, Value output, Value row, Value rows,
                   const DenseRowStates &states, Value sinks, Value sinkOffset);

  // Products of `count` rows (DenseAttentionTiles.cpp).

  /// Scores of the first `columns` keys of the tile, rounded up to whole register tiles.
  void emitScores(const DenseTile &tile, int64_t count, Value columns, const DenseMatrix &scores);
  /// Adds the values of `keys` keys (rounded up to kProductKeys), weighted, to the sums, which are
  /// rescaled first if `rescales`.
  void emitProduct(const DenseTile &tile, int64_t count, Value keys, const DenseMatrix &weights,
                   bool rescales);

  // Masks and softmax (DenseAttentionSoftmax.cpp).

  DenseView emitView(const DenseTile &tile, int64_t count);
  void clearStates(const DenseRowStates &states, Value rows);
  /// Turns a tile's scores into weights relative to each row's largest score so far; updates
  /// states and rescale factors.
  void emitOnlineSoftmax(const DenseTile &tile, int64_t count, bool isMasked,
                         const DenseMatrix &scores, const DenseRowStates &states);
  /// Applies cap, slopes and masks to a tile's scores, in place, keys that are not seen becoming
  /// minus infinity; with `tracksMaximum` updates the largest scores.
  void emitMaskedScores(const DenseTile &tile, int64_t count, bool isMasked,
                        const DenseMatrix &scores, const DenseRowStates &states,
                        bool tracksMaximum);
  /// Takes a tile's masked scores into the largest ones.
  void emitMaxima(int64_t count, const DenseMatrix &scores, const DenseRowStates &states);
  /// Turns masked scores into weights relative to the row's largest score and adds them up.
  void emitWeights(int64_t count, const DenseMatrix &scores, const DenseRowStates &states);

  /// Calls `body` for the tiles that a task's rows see, or for all where the technique does not
  /// skip any: (first key, keys of the tile, column among the tiles of the task).
  void forEachSeenTile(const DenseTask &task, llvm::function_ref<void(Value, Value, Value)> body);
  /// Calls `body` for the rows [0, rows) in chunks: (first row, rows of the chunk).
  void forEachChunk(Value rows, llvm::function_ref<void(Value, int64_t)> body);

  Value atScratch(int64_t base, Value row, int64_t stride, Value column = {});

  /// Keys that a step of the product with values takes.
  static constexpr int64_t kProductKeys = 4;

  KernelBuilder &b;
  KernelLibrary &library;
  const DenseAttentionKernel &kernel;
  DenseTiling tiling;
  Value scratch;

private:
  struct RowMask {
    Value limit, windowBegin, sinksEnd; ///< i32, counted from the tile's first key; null: none.
  };
  Value emitPosition(const DenseTile &tile, Value row);
  Value emitIota(int64_t from);
  RowMask emitRowMask(const DenseTile &tile, Value row);
  /// Copies a row of the mask to the scratch as numbers to add.
  void emitBias(const DenseTile &tile, Value row);
  /// The row's scores with everything applied.
  SmallVector<Value> loadScores(const DenseTile &tile, Value row, bool isMasked,
                                const DenseMatrix &scores);
  Value emitCapAndSlope(const DenseTile &tile, Value row, Value score, int64_t from);
  Value reduce(ArrayRef<Value> vectors, bool isSum);
  Value at(const DenseMatrix &matrix, Value row, int64_t column);
};

/// Functions around single parts, so that code does not grow with their uses.
func::FuncOp getPackKeys(KernelLibrary &library, const DenseAttentionKernel &kernel);
func::FuncOp getPackValues(KernelLibrary &library, const DenseAttentionKernel &kernel);

/// What the emitters of a task share: the kernel's arguments.
struct DenseArguments {
  DenseArguments(const DenseAttentionKernel &kernel, ValueRange arguments);
  static SmallVector<Type> types(KernelLibrary &library, const DenseAttentionKernel &kernel);

  Value worker, workers, query, keys, values, output, sequences;
  Value cuLengths, cuKeyLengths;          ///< When ragged.
  Value tokensEach, keysEach, keyLengths; ///< When padded.
  Value scratch, scores;
  Value maskBytes, maskSequenceStride, maskHeadStride, maskRowStride;
  Value sinks, sinkOffset;

  DenseMask maskOf(KernelBuilder &builder, const DenseTask &task) const;
};

/// Computes a task: online softmax, and the techniques that keep scores.
void emitFlashTask(KernelBuilder &builder, KernelLibrary &library,
                   const DenseAttentionKernel &kernel, const DenseArguments &arguments,
                   const DenseTask &task);
void emitScoresTask(KernelBuilder &builder, KernelLibrary &library,
                    const DenseAttentionKernel &kernel, const DenseArguments &arguments,
                    const DenseTask &task);
/// Generates the functions that those tasks call: the library makes one function at a time.
void createFlashFunctions(KernelLibrary &library, const DenseAttentionKernel &kernel);
void createScoresFunctions(KernelLibrary &library, const DenseAttentionKernel &kernel);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_DENSEATTENTIONTILES_H
