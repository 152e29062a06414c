// Barriers of a step: when they stand. Asking memory for the next op's first panels before waiting
// was tried (2 to 16 KB of them, SmolLM2 on two cores) and gained nothing.

#include "StepEmitter.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace mlir::llm {

/// Whether this step's panels of `kvHeads` heads are shared by heads; see PlanCall::headTiles.
Value StepEmitter::emitIsByHeads(int64_t kvHeads) {
  auto [entryOfHeads, isNew] = isByHeads.try_emplace(kvHeads);
  if (!isNew)
    return entryOfHeads->second;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(entryEnd);
  Value rest = b.rem(b.index(kvHeads), workers);
  Value divides = b.compare(arith::CmpIPredicate::eq, rest, b.index(0));
  Value result = arith::AndIOp::create(b, isSmallTokens, divides);
  if (mayBeSplit) {
    Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
    result = b.select(mayBeSplit, no, result);
  }
  return entryOfHeads->second = result;
}

void StepEmitter::emitBarrier(const PlanCall &call) {
  auto wait = [&] {
    LLVM::CallOp::create(b,
                         LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                                     {team.getType(), b.getI32Type()}),
                         ValueRange{barrierFunction, team, workerInt});
  };
  auto negate = [&](Value condition) -> Value {
    Value one = arith::ConstantOp::create(b, b.getBoolAttr(true));
    return arith::XOrIOp::create(b, condition, one);
  };
  switch (call.barrierAfter) {
  case Barrier::Never:
    return;
  case Barrier::Always:
    return wait();
  case Barrier::SmallTokens:
    return b.ifThen(isSmallTokens, wait);
  case Barrier::LargeTokens:
    return b.ifThen(negate(isSmallTokens), wait);
  case Barrier::LargeRows:
    return b.ifThen(negate(isSmallRows), wait);
  case Barrier::Splits:
    return b.ifThen(mayBeSplit, wait);
  case Barrier::UnlessOwn:
    return b.ifThen(negate(emitIsByHeads(call.kvHeads)), wait);
  }
}

} // namespace mlir::llm
