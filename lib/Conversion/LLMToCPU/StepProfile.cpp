// The step with clocks: what llmir_model_profile has beside the step, and the table that says what
// its calls are. Each call is timed on its own, by every worker, and so is the barrier behind it.

#include "StepEmitter.h"

#include "llmir/ProfileABI.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/Support/JSON.h"

#include <cstddef>

namespace mlir::llm {

void StepEmitter::emitProfile() {
  Type pointer = LLVM::LLVMPointerType::get(module.getContext());
  Type i32 = b.getI32Type();
  emitFunction(LLMIR_MODEL_PROFILE_SYMBOL, {pointer, i32, i32, pointer});
  emitProfileTable();
}

/// The clock, and the worker's row of times.
void StepEmitter::emitProfileArguments() {
  Type pointer = LLVM::LLVMPointerType::get(module.getContext());
  Type i64 = b.getI64Type();
  auto load = [&](int64_t offset, Type type) -> Value {
    Value address = LLVM::GEPOp::create(b, pointer, b.getI8Type(), entry->getArgument(3),
                                        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
    return LLVM::LoadOp::create(b, type, address);
  };
  clockFunction = load(offsetof(llmir_profile, now), pointer);
  Value stride = load(offsetof(llmir_profile, row_stride), i64);
  Value row = arith::MulIOp::create(b, arith::IndexCastOp::create(b, i64, worker), stride);
  times = LLVM::GEPOp::create(b, pointer, i64, load(offsetof(llmir_profile, times), pointer),
                              ArrayRef<LLVM::GEPArg>{row});
}

Value StepEmitter::emitNow() {
  auto type = LLVM::LLVMFunctionType::get(b.getI64Type(), {});
  return LLVM::CallOp::create(b, type, ValueRange{clockFunction}).getResult();
}

void StepEmitter::addTime(size_t call, int64_t what, Value begin, Value end) {
  Type pointer = times.getType();
  auto index = static_cast<int32_t>(2 * static_cast<int64_t>(call) + what);
  Value address =
      LLVM::GEPOp::create(b, pointer, b.getI64Type(), times, ArrayRef<LLVM::GEPArg>{index});
  Value sum = LLVM::LoadOp::create(b, b.getI64Type(), address);
  Value time = arith::SubIOp::create(b, end, begin);
  LLVM::StoreOp::create(b, arith::AddIOp::create(b, sum, time), address);
}

/// One object for each call that has code, in the order of the times (docs/Artifact.md).
void StepEmitter::emitProfileTable() {
  llvm::json::Array calls;
  for (const PlanSegment &segment : plan.formLoops())
    for (const PlanCall &call : segment.calls) {
      const PlanCost &cost = call.cost;
      StringRef name =
          call.sumsOverRanks ? "sum_over_ranks" : func::FuncOp(call.function).getSymName();
      calls.push_back(llvm::json::Object{{"name", name},
                                         {"repetitions", segment.repetitions},
                                         {"unit", cost.unit},
                                         {"bytes", cost.bytes},
                                         {"bytes_per_token", cost.bytesPerToken},
                                         {"bytes_per_key", cost.bytesPerKey},
                                         {"operations_per_token", cost.operationsPerToken},
                                         {"operations_per_row", cost.operationsPerRow},
                                         {"operations_per_key", cost.operationsPerKey}});
    }
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(std::move(calls)) << '\0';
  b.setInsertionPointToStart(module.getBody());
  auto type = LLVM::LLVMArrayType::get(b.getI8Type(), static_cast<unsigned>(text.size()));
  LLVM::GlobalOp::create(b, type, /*isConstant=*/true, LLVM::Linkage::External,
                         LLMIR_MODEL_PROFILE_TABLE_SYMBOL, b.getStringAttr(text));
}

} // namespace mlir::llm
