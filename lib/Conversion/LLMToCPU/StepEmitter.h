// StepEmitter: from a step's plan to the function that every worker runs.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_STEPEMITTER_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_STEPEMITTER_H

#include "KernelLibrary.h"
#include "StepPlan.h"

#include <map>

namespace mlir::llm {

class StepEmitter {
public:
  StepEmitter(ModuleOp module, const KernelLibrary &library, const StepPlan &plan);

  /// Adds `llmir_model_step` and `llmir_model_abi_version` to the module. Returns the number of
  /// loops over layers.
  int64_t emit();

private:
  // Reading llmir_step_args (StepArguments part of the file).
  Value loadField(int64_t offset, Type type);
  Value loadCount(int64_t offset);
  Value loadInts(int64_t offset, Value size);
  void emitArguments();
  void emitPartials(Value shared);
  void emitCaches();
  void emitABIVersion();

  // Operands.
  Value getInput(const InputOperand &input);
  Value getBuffer(const BufferOperand &buffer);
  Value makeRows(Value bytes, Value offset, const BufferOperand &buffer, Value rows);
  Value getOperand(const PlanOperand &operand, Value iteration, int64_t step);

  // Calls.
  void emitSegment(const PlanSegment &segment);
  void emitCall(const PlanCall &call, Value iteration, ArrayRef<int64_t> steps);
  std::pair<Value, Value> emitRange(const PlanCall &call);
  std::pair<Value, Value> emitShare(Value count);
  void emitBarrier(Barrier barrier);

  ModuleOp module;
  const KernelLibrary &library;
  const StepPlan &plan;
  KernelBuilder b;
  Block *entry = nullptr;
  Operation *entryEnd = nullptr; ///< Operand views go before it, outside of loops.

  struct CacheInputs {
    Value base, slots, table, tableStride, keyScales, valueScales;
  };
  Value args, workerInt, worker, workers, tokenCount, sequenceCount, rowCount;
  Value tokens, positions, cuLengths, contextLengths, rows, logits, weights, workspace, privateArea,
      scratch, partials, barrierFunction, team, isSmallTokens, isSmallRows, mayBeSplit, treeMask,
      hasTree;
  SmallVector<CacheInputs> caches;
  std::map<std::tuple<int, int64_t, int64_t, int64_t, const void *>, Value> views;
  int64_t loops = 0;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_STEPEMITTER_H
