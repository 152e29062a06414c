// The tile functions of the step, one generator each: what they compute, what is static in them and
// what their arguments are. Every function takes (begin, end : index) first and computes the tiles
// of that range; tiles are tokens unless said otherwise. All of them give the same bytes for a
// token whatever else is in the batch.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_KERNELS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_KERNELS_H

#include "KernelLibrary.h"

#include "llmir/ABI.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "llmir/Support/PackedLayout.h"

#include <optional>
#include <string>

namespace mlir::llm {

/// Gathers embedding rows. Arguments: tokens memref<?xi32>, weights memref<?xi8>, weight offset,
/// output rows.
struct EmbeddingKernel {
  ::llmir::PackedLayout layout;
  MemRefType output;
};
func::FuncOp getKernel(KernelLibrary &library, const EmbeddingKernel &kernel);

/// Prepares the input of a matrix op once for all its consumers: gathers rows, applies the RMS norm
/// (weights f32), rounds or quantises to int8 with one scale for each group of the weight's size
/// (absolute maximum / 127, round to nearest even).
/// Arguments: [rows memref<?xi32> when `gather`], input rows, [weights memref<?xi8>, norm weight
/// offset when `epsilon`], then the output rows (F32; BF16: values rounded to bf16, in f32 or in
/// bf16, as the output's type says; an odd column in bf16 is followed by a zero), or, for I8: codes
/// memref<?xKxi8, strided>, scales memref<?x2Gxf32, strided> (the scale of group g, and at G + g
/// scale times sum of codes), sums memref<?xGxi32, strided>.
struct ActivationKernel {
  ActivationType kind;
  bool gather;
  std::optional<double> epsilon;
  MemRefType input;
  MemRefType output;
  int64_t groupSize = ::llmir::kGroupSize; ///< I8 only.
};
func::FuncOp getKernel(KernelLibrary &library, const ActivationKernel &kernel);

/// The buffers of int8 activations of `cols` features in groups of `groupSize`.
struct QuantizedRows {
  MemRefType codes, scales, sums;
  static QuantizedRows get(MLIRContext *context, int64_t cols, int64_t groupSize);
};

/// What a matrix op does with its sums.
enum class LinearEpilogue : uint8_t { None, SwiGLU };

/// Whether a product takes its activations as pairs of bf16, which rows of an even number of bf16
/// hold; otherwise those of kinds F32 and BF16 are in f32.
bool multipliesPairs(const CPUTarget &target, ActivationType kind, ::llmir::PackedFormat format);

/// A matrix product. Tiles are panels (SwiGLU: pairs of a gate and an up panel). Arguments: number
/// of tokens (index), the activations (rows, or codes, scales, sums), weights, weight offset, [bias
/// offset when `bias`], output rows, [residual rows when `residual`].
///
/// Floor, one token: the panels' bytes over the read bandwidth. Many tokens: multiply-adds over the
/// unit's peak, and what the unit's file says of scales and loads.
struct LinearKernel {
  ::llmir::PackedLayout layout;
  ActivationType kind;
  LinearEpilogue epilogue;
  bool bias;
  MemRefType input; ///< F32 and BF16 only: rows of f32, or of bf16 where multipliesPairs.
  MemRefType output;
  /// Columns of the output that exist; the last panel's others are not written when the output's
  /// rows are not padded to whole panels.
  int64_t columns;
  MemRefType residual; ///< Null: none.
};
func::FuncOp getKernel(KernelLibrary &library, const LinearKernel &kernel);

/// cos and sin of a step's positions, in f64 and rounded once. Arguments: positions memref<?xi32>,
/// [weights, factors offset when `factors`], table rows (cosines, then sines).
struct RopeTableKernel {
  double theta;
  int64_t rotaryDim;
  bool factors;
  MemRefType table;
  SmallVector<double> frequencies = {}; ///< Radians a position, when theta does not give them.
  double magnitude = 1.0;               ///< Of cosines and sines.
};
func::FuncOp getKernel(KernelLibrary &library, const RopeTableKernel &kernel);

/// Rotates the heads of rows. Arguments: table rows, input rows, output rows (may be the same).
struct RopeKernel {
  int64_t heads, headDim, rotaryDim;
  bool interleaved;
  MemRefType table, input, output;

  std::string name() const;
};
func::FuncOp getKernel(KernelLibrary &library, const RopeKernel &kernel);

/// What a kernel over a cache takes for its constant scales: memref<?xf32> [layers x KV heads] for
/// the keys, then for the values, where their granularity is tensor or head.
SmallVector<Type> scaleArguments(KernelLibrary &library, const llmir_cache_layout &layout);

/// Writes keys and values into their slots; negative slots are skipped. Arguments: keys rows,
/// values rows, cache base memref<?xi8>, slots memref<?xi32>, layer (index), scaleArguments.
struct StoreKVKernel {
  llmir_cache_layout layout;
  MemRefType keys, values;
};
func::FuncOp getKernel(KernelLibrary &library, const StoreKVKernel &kernel);

/// Causal attention over a paged cache. Instead of a range of tiles it takes (worker, workers) and
/// finds its tasks itself. Arguments: query rows, cache base memref<?xi8>, block table
/// memref<?xi32>, entries of a table row (index), context lengths memref<?xi32>, cumulative lengths
/// memref<?xi32>, number of sequences (index), layer (index), scratch memref<?xf32> of
/// `scratchElements`, partial states memref<?xf32> of `partialElements` that all workers share (not
/// used by a single worker), output rows, scaleArguments, [sink logits of the query heads, f32:
/// memref<?xi8> and their offset in it (index)], [tree mask memref<?xi64>:
/// llmir_step_args.tree_mask, and whether there is one (i1; if not, its memory is not read)],
/// [positions of the tokens memref<?xi32>, for windows and slopes; without, a token's place].
///
/// One key partition (key tiles in splits, counted from position 0), one order of rescaling and one
/// merge for every number of tokens and workers.
struct AttentionKernel {
  llmir_cache_layout layout;
  int64_t heads;
  double scale;
  MemRefType query, output;
  double softCap = 0; ///< Scores become softCap * tanh(score / softCap); 0: they do not.
  SmallVector<float> alibiSlopes = {}; ///< Of the query heads, or none.
  bool sinkLogits = false;
  bool treeMask = false;
  bool positions = false;

  int64_t groupSize() const { return heads / layout.num_kv_heads; }
  std::string name() const;
  /// Tokens of one task when a sequence has that many left.
  int64_t taskTokens() const;
  /// Keys that one softmax covers, and keys of a split.
  int64_t tileKeys() const;
  int64_t splitKeys() const;
  int64_t scratchElements() const;
  /// States of splits that a step may have at a time, and their elements.
  int64_t partialStates() const;
  int64_t partialElements() const;
};
func::FuncOp getKernel(KernelLibrary &library, const AttentionKernel &kernel);

/// Merges the states of split sequences and writes their outputs, behind a barrier; does nothing
/// where none is split. Arguments as above.
func::FuncOp getMergeKernel(KernelLibrary &library, const AttentionKernel &kernel);

/// Sequences may be split when they have fewer (sequence, KV head) pairs than this times the
/// workers.
inline constexpr int64_t kSplitTasksPerWorker = 4;

/// RopeKernels and a StoreKVKernel token by token. Arguments: table rows; of each of `queries`
/// input rows and output rows; of the keys the same; values rows, cache base memref<?xi8>, slots
/// memref<?xi32>, layer (index), scaleArguments. Rotated keys are in the output rows of keys, too.
///
/// With `before` it takes (worker, workers) instead of a range of tokens, and behind the scales the
/// number of tokens (index) and what that attention takes: context lengths, cumulative lengths,
/// number of sequences, [positions of the tokens]. At most kSmallBatch tokens: each worker does the
/// heads that its tasks of the attention read, so that the output rows must be its own. More: a
/// share of the tokens.
struct RopeStoreKVKernel {
  llmir_cache_layout layout;
  SmallVector<RopeKernel> queries;
  RopeKernel keys;
  MemRefType values;
  std::optional<AttentionKernel> before = std::nullopt;
};
func::FuncOp getKernel(KernelLibrary &library, const RopeStoreKVKernel &kernel);

/// Elementwise ops of rows that no matrix op took in. Arguments: left rows, right rows, output
/// rows.
enum class ElementwiseKind : uint8_t { Add, SwiGLU };
struct ElementwiseKernel {
  ElementwiseKind kind;
  MemRefType left, right, output;
};
func::FuncOp getKernel(KernelLibrary &library, const ElementwiseKernel &kernel);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_KERNELS_H
