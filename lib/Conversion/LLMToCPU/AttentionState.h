// What the kernels of attention share: where a worker keeps its state, which tasks a step has, and
// how partial results merge. The key partition is fixed: key tiles, and splits of whole key tiles,
// both counted from position 0, so that a row's sums are the same in every batch.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_ATTENTIONSTATE_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_ATTENTIONSTATE_H

#include "CacheElements.h"
#include "Kernels.h"

namespace mlir::llm {

/// The state of `rows` (token, query head) pairs after some keys: weighted sums of values [rows]
/// [value dim], largest score [rows], sum of weights [rows]; f32, one after another.
struct AttentionState {
  Value memory; ///< memref<?xf32>
  Value offset; ///< Of the state, in elements.
  int64_t rows;
  int64_t valueDim;

  static int64_t elements(int64_t rows, int64_t valueDim) { return rows * (valueDim + 2); }
  Value sumAt(KernelBuilder &b, Value row, Value channel) const {
    return b.add(offset, b.add(b.mul(row, b.index(valueDim)), channel));
  }
  Value maximumAt(KernelBuilder &b, Value row) const {
    return b.add(offset, b.add(b.index(rows * valueDim), row));
  }
  Value totalAt(KernelBuilder &b, Value row) const {
    return b.add(offset, b.add(b.index(rows * (valueDim + 1)), row));
  }
};

/// Offsets in a worker's scratch, in elements, for `rows` rows.
struct AttentionScratch {
  AttentionScratch(const AttentionKernel &kernel, int64_t rows);

  int64_t query;        ///< [rows][key dim], scaled
  int64_t queryOffsets; ///< [stored groups of keys or 1][rows], of keys whose codes have an offset
  int64_t queryWords;   ///< [rows][4 * key dim at most]: pairs of 16 bits, for integer dots
  int64_t queryScales;  ///< [rows], of queryWords
  int64_t weights;      ///< [value scale groups][rows][key tile]
  int64_t weightWords;  ///< [value scale groups][rows][key tile / 2]: pairs of 16 bits
  int64_t weightScales; ///< [value scale groups][rows], of weightWords
  int64_t valueScales;  ///< [stored groups of values][key tile]
  int64_t valueOffsets; ///< [value scale groups][rows], of values whose codes have an offset
  int64_t keyPositions; ///< [key tile], i32 bits, where positions are given
  int64_t rescale;      ///< [rows]
  int64_t tileTotals;   ///< [rows]
  int64_t split;        ///< AttentionState of a split
  int64_t result;       ///< AttentionState of all splits
  int64_t size;
};

/// Vectors that cover `size` elements: `lanes` wide, then halving.
SmallVector<std::pair<int64_t, int64_t>> splitLanes(int64_t size, int64_t lanes);

/// Calls `body` with (first element, lanes) for vectors that cover `size` elements.
void forEachVector(KernelBuilder &builder, int64_t size, int64_t lanes,
                   llvm::function_ref<void(Value, int64_t)> body);

/// State that has seen no key.
void emitEmptyState(KernelBuilder &builder, const AttentionState &state, int64_t lanes);

/// Takes the keys of `part` into `whole` (log-sum-exp merge). An empty part leaves every byte.
void emitMerge(KernelBuilder &builder, const AttentionState &whole, const AttentionState &part,
               int64_t lanes);

/// The function that computes the state of one (tokens, KV head, split), whose query is in scratch.
/// Arguments: cache base, table, table row (index of the sequence's first entry), layer, KV head,
/// first token, keys that the first token sees, first key and end of the split, scratch, state
/// memory, state offset; first key and KV head of what the worker attends to next in this sequence
/// (so that it is fetched in time), last block of the sequence; [number of keys that no tree mask
/// is about, tree mask, whether there is one], [number of keys before the step, positions, first
/// token of the sequence].
func::FuncOp getSplitFunction(KernelLibrary &library, const AttentionKernel &kernel,
                              int64_t tokens);

/// The splits that somebody sees: without a window all; with one, those with sinks and those from
/// the window's begin. Depends on lengths and positions alone.
struct SeenSplits {
  Value count;
  Value sinks; ///< The first so many are the sequence's first; null: 0.
  Value first; ///< The split that follows them.

  /// The first key of the `index`-th of them.
  Value beginOf(KernelBuilder &b, const AttentionKernel &kernel, Value index) const;
};

/// One (sequence, tokens, KV head[, split]) as a task's body sees it.
struct AttentionTask {
  Value sequence;
  Value firstToken; ///< Of the sequence.
  Value token;      ///< The task's first one.
  int64_t tokens;
  Value visible;   ///< Keys that the first token sees.
  Value stepBegin; ///< Keys of the sequence that were there before the step.
  Value context;   ///< Its keys.
  Value head;
  Value isSplit;     ///< i1: its splits are tasks of their own.
  Value split;       ///< Of a split task: the number among `splits`; otherwise 0.
  SeenSplits splits; ///< Of the sequence's tokens where it is split, otherwise of the task's.
  Value firstSlot;   ///< In the partial states, of this (tokens, head), when split.
  Value isFirst;     ///< i1: the worker's first one in the sequence.
  Value followKey, followHead; ///< Of the worker's next task in the sequence, or of this one.
};

/// What enumerating the tasks takes.
struct AttentionTaskInputs {
  Value worker, workers, contextLengths, cuLengths, sequences;
  Value positions; ///< Null: a token's position is its place.
};

/// Calls `body` for this worker's tasks. All: a task for each split where a sequence is split,
/// otherwise one for each (sequence, tokens, KV head). Merges: one for each (sequence, tokens, KV
/// head) of sequences that are split.
enum class AttentionTasks : uint8_t { All, Merges };
void emitTasks(KernelBuilder &builder, const AttentionKernel &kernel,
               const AttentionTaskInputs &inputs, AttentionTasks which,
               llvm::function_ref<void(const AttentionTask &)> body);

/// What a worker needs of a KV head before its tasks of an attention.
struct AttentionPreparation {
  Value firstToken, lastToken; ///< This step's tokens of a sequence.
  Value head;
  Value stores; ///< i1: the tasks read the tokens' own keys and values.
};
/// Calls `body` for the heads whose queries this worker's tasks (All) take, and at least once with
/// `stores` for those of which they read what the step's tokens store. For at most kSmallBatch
/// tokens; a head may come more than once.
void emitPreparations(KernelBuilder &builder, const AttentionKernel &kernel,
                      const AttentionTaskInputs &inputs,
                      llvm::function_ref<void(const AttentionPreparation &)> body);

/// What else the output of a task depends on; null where there is none.
struct OutputFactors {
  Value sinks;      ///< memref<?xi8>: learned logits, f32
  Value firstSink;  ///< Byte of the logit of the group's first query head.
  Value valueScale; ///< Constant scale of the KV head's values.
};

/// Divides a task's result by its weights and writes it.
void emitOutput(KernelBuilder &builder, const AttentionKernel &kernel, const AttentionState &result,
                const AttentionTask &task, Value output, const OutputFactors &factors,
                int64_t lanes);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_ATTENTIONSTATE_H
