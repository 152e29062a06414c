// The plan of a step: which tile functions run in which order over which tiles and operands, where
// barriers stand, and how much workspace it takes. Made by StepPlanner from `llm` ops, turned into
// code by StepEmitter. Calls that repeat with constants that grow evenly (layers) become loops.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_STEPPLAN_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_STEPPLAN_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinTypes.h"

#include <variant>
#include <vector>

namespace mlir::llm {

/// At most this many tokens (rows): every worker prepares the activations of all of them for
/// itself, which costs less than a barrier.
inline constexpr int64_t kSmallBatch = 4;

/// Bytes of a worker's counter of claims: a line, and the next, which processors fetch with it.
inline constexpr int64_t kClaimSetBytes = 128;

/// What a count is of.
enum class Count : uint8_t { Tokens, Rows };

/// Rows of a buffer in the workspace, one for each token (row of logits).
struct BufferOperand {
  Count count = Count::Tokens;
  int64_t bytesPerItem = 0; ///< The buffer starts at this times the count, in its count's area.
  int64_t column = 0;       ///< First element of each row.
  MemRefType type;          ///< A KernelLibrary::rowsType.
  /// In small batches: the worker's own copy, at this byte of its private area; negative: none.
  int64_t privateOffset = -1;

  bool operator==(const BufferOperand &) const = default;
};

/// An index constant: a weight's offset or a layer. The only operand that may differ between the
/// repetitions of a loop.
struct ConstantOperand {
  int64_t value = 0;
  bool operator==(const ConstantOperand &) const = default;
};

/// What the step receives.
enum class StepInput : uint8_t {
  Tokens,
  Positions,
  CuLengths,
  ContextLengths,
  Rows,
  Logits,
  Weights,
  Scratch,  ///< memref<?xf32> in the worker's private area.
  Partials, ///< memref<?xf32> in the fixed area.
  NumTokens,
  NumRows,
  NumSequences,
  CacheBase,
  Slots,
  Table,
  TableStride,
  KeyScales,
  ValueScales,
  TreeMask,
  HasTree ///< Whether there is a tree mask.
};
struct InputOperand {
  StepInput input;
  int64_t cache = 0; ///< Of CacheBase and what follows it.
  MemRefType type;   ///< Of Logits.
  bool operator==(const InputOperand &) const = default;
};

using PlanOperand = std::variant<BufferOperand, ConstantOperand, InputOperand>;

/// How a call's tiles are shared among the workers.
enum class Partition : uint8_t {
  Tokens,    ///< A contiguous share of the tokens.
  Rows,      ///< A contiguous share of the rows of logits.
  Panels,    ///< A contiguous share of a fixed number of tiles.
  RoundRobin ///< The function takes (worker, workers) and finds its tiles itself.
};

/// When a barrier follows a call.
enum class Barrier : uint8_t {
  Never,
  Always,
  SmallTokens, ///< When the tokens are at most kSmallBatch.
  LargeTokens,
  LargeRows,
  Splits,    ///< When the attention of a sequence may be split.
  UnlessOwn, ///< Unless the call's tiles were shared by KV heads.
};

/// Tiles that belong to KV heads, so many to each, the first head's first.
struct HeadTiles {
  int64_t first, perHead;
  bool operator==(const HeadTiles &) const = default;
};

/// What a call takes at least: what it reads of memory and the operations (a multiplication and an
/// addition are two) of its unit. Activations count nothing: they stay in caches.
struct PlanCost {
  StringRef unit = "f32";         ///< Or "int8", "bf16": what multiplies.
  int64_t bytes = 0;              ///< Once a step.
  int64_t bytesPerToken = 0;      ///< Of the step.
  int64_t bytesPerKey = 0;        ///< Of a context, once for all its tokens.
  int64_t operationsPerToken = 0; ///< Of the step.
  int64_t operationsPerRow = 0;   ///< Of logits.
  int64_t operationsPerKey = 0;   ///< That a token sees.
};

struct PlanCall {
  func::FuncOp function;
  Partition partition = Partition::Tokens;
  int64_t tiles = 0;           ///< Of Panels,
  Count count = Count::Tokens; ///< which meet these.
  bool redundant = false;      ///< In small batches every worker computes all tiles for itself.
  bool merges = false; ///< Reads what split tasks of the call before wrote, and nothing else.
  /// In small batches each worker does for itself what its tasks of the next call read.
  bool prepares = false;
  /// Of Panels whose next call prepares: where the panels of `kvHeads` heads lie. In a small batch
  /// without splits, when the workers divide the heads, worker w computes those of the w-th share
  /// of the heads, which alone its tasks of attention read: no barrier is needed between them.
  SmallVector<HeadTiles> headTiles;
  int64_t kvHeads = 0;
  /// Instead of a function: one worker adds the rows of the only operand up over all ranks.
  bool sumsOverRanks = false;
  SmallVector<PlanOperand> operands;
  Barrier barrierAfter = Barrier::Never;
  PlanCost cost;
};

/// A sequence of calls, or a loop over one: call i of repetition n has the constants of
/// `calls[i]` plus n times `steps[i]` (one number for each operand).
struct PlanSegment {
  std::vector<PlanCall> calls;
  int64_t repetitions = 1;
  std::vector<SmallVector<int64_t>> steps;
};

/// Bytes of workspace: those of llmir_step_args' memory contract.
struct WorkspaceSize {
  int64_t fixed = 0;
  int64_t perToken = 0;
  int64_t perRow = 0;
  int64_t perWorker = 0;
};

struct StepPlan {
  std::vector<PlanCall> calls;
  WorkspaceSize workspace;
  int64_t scratchOffset = 0; ///< Of StepInput::Scratch in the private area.
  int64_t scratchElements = 0;
  int64_t claimsOffset = 0;    ///< Of two sets of claims (StepClaims.cpp) in the private area.
  int64_t partialElements = 0; ///< Of StepInput::Partials, behind the workers' private areas.
  /// The attention with the shortest splits and the fewest KV heads decides when sequences may be
  /// split; 0: none is.
  int64_t splitKeys = 0;
  int64_t splitHeads = 0;

  /// Sets `barrierAfter` of every call from its neighbour.
  void placeBarriers();
  /// Finds the loops.
  std::vector<PlanSegment> formLoops() const;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_STEPPLAN_H
