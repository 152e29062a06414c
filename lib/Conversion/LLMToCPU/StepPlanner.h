// StepPlanner: from the `llm` ops of a step to its plan. Gives every value a place in the workspace
// and every op its calls of tile functions.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_STEPPLANNER_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_STEPPLANNER_H

#include "Kernels.h"
#include "StepArguments.h"
#include "StepPlan.h"
#include "WorkspacePlanner.h"

#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/IR/SymbolTable.h"

#include <map>
#include <optional>
#include <tuple>

namespace mlir::llm {

class StepPlanner {
public:
  StepPlanner(func::FuncOp step, KernelLibrary &library);

  /// The plan, or a diagnostic on the op that has no form in a step.
  FailureOr<StepPlan> plan();

  /// Bytes of weights that a step of one token and one row of logits reads.
  int64_t bytesPerToken() const { return bytesRead; }

private:
  /// Where a value lies: rows of a buffer that it may share.
  struct Place {
    size_t buffer = 0;
    BufferOperand operand;
  };
  struct Buffer {
    int64_t offset = 0;
    int64_t pendingUses = 0;
  };
  struct WeightInfo {
    WeightLayout layout;
    int64_t offset;
  };
  /// Activations as a matrix op reads them.
  struct Activations {
    ActivationType kind;
    SmallVector<BufferOperand> operands;
    /// Buffers to release once the matrix op has run.
    SmallVector<size_t> temporaries;
  };

  /// Features of a token: the product of all dimensions after the first.
  static int64_t columnsOf(Value value);
  static int64_t roundUpToPanel(int64_t columns) {
    return (columns + ::llmir::kPanelRows - 1) / ::llmir::kPanelRows * ::llmir::kPanelRows;
  }

  // Inputs and places (StepPlanner.cpp).
  LogicalResult bindArguments();
  FailureOr<InputOperand> getInput(Operation *op, Value value);
  FailureOr<Place> getPlace(Operation *op, Value value);
  FailureOr<int64_t> getCache(Operation *op, Value value);
  FailureOr<WeightInfo> getWeight(Operation *op, FlatSymbolRefAttr symbol);
  FailureOr<ConstantOperand> getLayer(Operation *op, Value index, int64_t attribute);
  size_t createBuffer(int64_t bytes);
  Place createRows(Value value, int64_t columns);
  Place aliasRows(Value value, const Place &place);
  bool isLastUse(const Place &place) const;
  void releaseOperands(Operation *op);
  PlanCall &addCall(func::FuncOp function, Partition partition,
                    std::initializer_list<PlanOperand> operands);

  // Ops over rows and caches (StepPlanner.cpp).
  LogicalResult planOp(Operation *op);
  LogicalResult plan(EmbeddingOp op);
  LogicalResult plan(LoadWeightOp op);
  LogicalResult plan(RMSNormOp op);
  LogicalResult planElementwise(Operation *op, ElementwiseKind kind);
  LogicalResult plan(StoreKVOp op);
  void addScales(PlanCall &call, const llmir_cache_layout &layout, int64_t cache);
  LogicalResult plan(PagedAttentionOp op);
  LogicalResult plan(AttentionOp op);

  // Rotations (RopePlanning.cpp).
  LogicalResult planRopeTables();
  LogicalResult plan(RopeOp op);
  LogicalResult plan(RopeStoreKVOp op);
  template <typename OpTy> FailureOr<BufferOperand> getRopeTable(OpTy op);
  void shareByHeads(LinearOp op, const WeightLayout &layout, PlanCall &call);

  // Sums over ranks (CollectivePlanning.cpp).
  LogicalResult plan(AllReduceOp op);

  // Matrix ops (MatrixOpPlanning.cpp).
  LogicalResult plan(LinearOp op);
  LogicalResult plan(LogitsOp op);
  FailureOr<ActivationType> getActivationType(Operation *op, std::optional<Type> type,
                                              const WeightInfo &weight);
  struct Prologue {
    ActivationType kind;
    std::optional<InputOperand> rows; ///< Gather these.
    FlatSymbolRefAttr normWeight;
    std::optional<APFloat> epsilon;
    int64_t columns;
    bool inPairs;      ///< As multipliesPairs says.
    int64_t groupSize; ///< Of int8 activations: the weight's.
  };
  FailureOr<Activations> planActivations(Operation *op, const Place &input,
                                         const Prologue &prologue);

  func::FuncOp step;
  KernelLibrary &library;
  SymbolTable symbols;
  StepPlan result;
  WorkspacePlanner tokenArea, rowArea;
  std::vector<Buffer> buffers;
  DenseMap<Value, Place> places;
  StepArguments arguments;
  DenseMap<Value, int64_t> caches;
  DenseMap<Value, int64_t> loadedWeights; ///< Offsets of llm.load_weight's results.
  /// Rope tables by (theta's bits, rotary dimensions, factors' offset, scaling).
  std::map<std::tuple<uint64_t, int64_t, int64_t, const void *>, BufferOperand> ropeTables;
  int64_t privateBytes = 0;
  int64_t bytesRead = 0;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_STEPPLANNER_H
