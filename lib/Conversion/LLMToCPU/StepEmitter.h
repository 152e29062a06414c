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
  /// Adds `llmir_model_profile` and `llmir_model_profile_table` instead.
  void emitProfile();

private:
  // Reading llmir_step_args (StepArguments part of the file).
  Value loadField(int64_t offset, Type type);
  Value loadCount(int64_t offset);
  Value loadInts(int64_t offset, Value size);
  void emitArguments();
  void emitPartials(Value shared);
  void emitCaches();
  void emitABIVersion();
  void emitFunction(StringRef name, TypeRange arguments);

  // Claims of late workers' tiles (StepClaims.cpp).
  Value emitClaimCounter(Value ofWorker, Value set);
  void emitResetClaims(Value set);
  void emitClaimedTiles(const PlanCall &call, ArrayRef<Value> operands, Value iteration);

  // Clocks and their table (StepProfile.cpp).
  void emitProfileArguments();
  void emitProfileTable();
  Value emitNow();
  void addTime(size_t call, int64_t what, Value begin, Value end);

  // Operands.
  Value getInput(const InputOperand &input);
  Value getBuffer(const BufferOperand &buffer);
  Value makeRows(Value bytes, Value offset, const BufferOperand &buffer, Value rows);
  Value getOperand(const PlanOperand &operand, Value iteration, int64_t step);

  // Calls.
  void emitSegment(const PlanSegment &segment);
  void emitCall(const PlanCall &call, Value iteration, ArrayRef<int64_t> steps);
  void emitWork(const PlanCall &call, Value iteration, ArrayRef<int64_t> steps);
  std::pair<Value, Value> emitRange(const PlanCall &call);
  std::pair<Value, Value> emitShare(Value count) { return emitShare(count, worker); }
  std::pair<Value, Value> emitShare(Value count, Value ofWorker);
  void emitSharedByHeads(const PlanCall &call, ArrayRef<Value> operands);
  void emitSumOverRanks(const PlanCall &call);

  // Barriers (StepBarriers.cpp).
  Value emitIsByHeads(int64_t kvHeads);
  void emitBarrier(const PlanCall &call);

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
  Value tokens, positions, cuLengths, contextLengths, rows, logits, weights, workspace,
      workspacePointer, privateArea, scratch, partials, barrierFunction, team, isSmallTokens,
      isSmallRows, mayBeSplit, treeMask, hasTree;
  SmallVector<CacheInputs> caches;
  std::map<int64_t, Value> isByHeads; ///< By KV heads.
  std::map<std::tuple<int, int64_t, int64_t, int64_t, const void *>, Value> views;
  int64_t loops = 0;
  /// Calls that claim tiles: before the segment, so far in it, and in one of its repetitions.
  int64_t claimsBefore = 0, claimsInSegment = 0, claimsOfRepetition = 0;
  /// With clocks: of llmir_profile.
  Value clockFunction, times;
  size_t numCalls = 0; ///< Of which code was emitted, in the order of the table.
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_STEPEMITTER_H
