// Dense attention (`llm.attention`) on the CPU: what a kernel is generated for, how it cuts its
// work into blocks, tiles and registers, and what its parts tell each other. DenseAttention.cpp has
// the tasks, DenseAttentionTiles.cpp packing and products, DenseAttentionSoftmax.cpp masks and
// weights, DenseAttentionFlash.cpp and DenseAttentionPasses.cpp the techniques.
//
// A row is a query head of a token; the rows of a sequence that share a KV head are numbered token
// by token. A task is a block of them. Keys are taken in tiles of `tileKeys`, counted from the
// sequence's first, so that a row's sums are the same whatever is beside it. A tile is packed once
// a block: converted to f32, keys with the channels outside, so that scores lie side by side in a
// vector and need no horizontal sums.
//
// Floor: multiply-adds, rows x keys seen x (key head size + value head size), over the peak of f32
// fma; or the bytes of queries, keys, values and outputs over the bandwidth of memory. A block of
// 96 rows does 24 multiply-adds for each byte of f32 keys and values that it reads, so that from a
// few rows on the first decides. To the multiply-adds come about 25 instructions a vector of scores
// for the softmax, and for packing 3 a vector, divided by the block's rows: at a head size of 64 a
// fifth of all. docs/Performance.md has what is reached.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_DENSEATTENTION_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_DENSEATTENTION_H

#include "KernelLibrary.h"

#include "llmir/Conversion/LLMToCPU/Passes.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"

#include <string>

namespace mlir::llm {

/// What an op's mask holds.
enum class MaskKind : uint8_t { None, Boolean, Additive };

/// Attention to keys and values that are rows. It takes (worker, workers) instead of a range of
/// tiles. Arguments: query rows, key rows, value rows, output rows, number of sequences, lengths
/// (below), scratch memref<?xf32> of DenseTiling::size elements, [scores memref<?xf32>, when the
/// technique keeps any, of `DenseScores` elements], [mask memref<?xi8>, its strides over sequences,
/// heads and tokens in elements], [sink logits of the query heads: memref<?xi8> of f32 and the byte
/// where they begin].
///
/// Lengths: cumulative ones of tokens and of keys, memref<?xi32>, when `ragged`; otherwise tokens
/// and keys of a sequence (index), [keys that count, memref<?xi32>, when `keyLengths`].
struct DenseAttentionKernel {
  MemRefType query, keys, values, output;
  int64_t heads, kvHeads, keyDim, valueDim;
  double scale;
  bool causal = false;
  int64_t window = 0; ///< 0: none.
  int64_t numSinks = 0;
  double softCap = 0; ///< 0: none.
  SmallVector<float> alibiSlopes = {};
  bool sinkLogits = false;
  MaskKind mask = MaskKind::None;
  bool ragged = false;
  bool keyLengths = false;
  AttentionTechnique technique = AttentionTechnique::Flash;

  int64_t group() const { return heads / kvHeads; }
  std::string name() const;

  /// Whether tiles of keys that no row sees are left out.
  bool skipsTiles() const {
    return technique != AttentionTechnique::ThreePass &&
           technique != AttentionTechnique::FusedSoftmax;
  }
  bool keepsScores() const { return technique != AttentionTechnique::Flash; }
  /// Whether the scores of all rows of a task exist at a time; otherwise those of a block.
  bool keepsAllRows() const {
    return technique == AttentionTechnique::ThreePass || technique == AttentionTechnique::Masked;
  }
};
func::FuncOp getKernel(KernelLibrary &library, const DenseAttentionKernel &kernel);

/// Ok when the op has code on a CPU; otherwise says why not.
LogicalResult checkDenseAttention(AttentionOp op);

/// The kernel of `op` over rows of these types.
DenseAttentionKernel getDenseAttentionKernel(AttentionOp op, AttentionTechnique technique,
                                             MemRefType query, MemRefType keys, MemRefType values,
                                             MemRefType output);

/// How a kernel cuts its work, and where its scratch lies (offsets and size in f32 elements).
struct DenseTiling {
  DenseTiling(const DenseAttentionKernel &kernel, int64_t lanes);

  int64_t lanes;
  int64_t chunkRows;   ///< Rows that one register tile covers; fewer by halving.
  int64_t vectors;     ///< Vectors of a register tile.
  int64_t tileKeys;    ///< Keys of a tile.
  int64_t blockRows;   ///< Rows for which a tile is packed once.
  int64_t valueStride; ///< Channels of a packed value: whole vectors.
  int64_t stateStride; ///< Elements of a row's state.

  int64_t packedKeys;   ///< [key dim][tile keys]
  int64_t packedValues; ///< [tile keys][value stride]
  int64_t query;        ///< [block rows][key dim], scaled
  int64_t sums;         ///< [block rows][value stride]
  int64_t states;       ///< [block rows][state stride]: weights' sums by lanes, largest score
  int64_t weights;      ///< [chunk rows][tile keys]
  int64_t rescale;      ///< [chunk rows]
  int64_t bias;         ///< [tile keys]: a row of the mask as numbers to add
  int64_t size;
};

/// The keys whose scores a technique keeps at a time, as columns of whole tiles.
struct DenseScores {
  /// Elements that sequences of at most `tokens` tokens and `keys` keys need, at run time.
  static Value emitElements(KernelBuilder &builder, const DenseAttentionKernel &kernel,
                            const DenseTiling &tiling, Value tokens, Value keys);
  /// Columns for `rows` rows and `keys` keys.
  static Value emitColumns(KernelBuilder &builder, const DenseAttentionKernel &kernel,
                           const DenseTiling &tiling, Value rows, Value keys);
};

/// A task: some rows of a sequence and a KV head.
struct DenseTask {
  Value sequence, head;
  Value queryBegin;     ///< Row of the sequence's first token.
  Value keyBegin, keys; ///< First row of its keys, and how many there are.
  Value shift;          ///< Position of the first token: keys - tokens; may be negative.
  Value rowBegin, rows; ///< Rows of the task.
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_DENSEATTENTION_H
