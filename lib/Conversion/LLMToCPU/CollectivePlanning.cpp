// Sums over ranks in a step: one worker calls the collective of llmir_step_args while the others
// wait at the barrier behind it.

#include "Kernels.h"
#include "RuntimeCalls.h"
#include "StepEmitter.h"
#include "StepPlanner.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

#include <cstddef>

namespace mlir::llm {

/// The sum is formed in place, over whole rows with their padding: rows that share a buffer with
/// other values, or that somebody else reads, are copied first.
LogicalResult StepPlanner::plan(AllReduceOp op) {
  FailureOr<Place> input = getPlace(op, op.getInput());
  if (failed(input))
    return failure();
  auto type = cast<RankedTensorType>(op.getInput().getType());
  if (!type.getElementType().isF32())
    return op.emitOpError("expected f32 elements to add up in a step, but got ") << type;
  int64_t columns = getNumFeatures(type);
  int64_t stride = (columns + ::llmir::kPanelRows - 1) / ::llmir::kPanelRows * ::llmir::kPanelRows;
  bool inPlace = isLastUse(*input) && input->operand.column == 0 &&
                 KernelLibrary::rowStride(input->operand.type) == stride;
  Place output = inPlace ? aliasRows(op.getOutput(), *input) : createRows(op.getOutput(), columns);
  if (!inPlace) {
    ActivationKernel copy{ActivationType::F32, /*gather=*/false, std::nullopt, input->operand.type,
                          output.operand.type};
    addCall(getKernel(library, copy), Partition::Tokens, {input->operand, output.operand});
  }
  PlanCall &call = addCall(func::FuncOp(), Partition::RoundRobin, {output.operand});
  call.sumsOverRanks = true;
  return success();
}

void StepEmitter::emitSumOverRanks(const PlanCall &call) {
  const auto &buffer = std::get<BufferOperand>(call.operands.front());
  Value data = emitPointerTo(b, getBuffer(buffer));
  Type pointer = data.getType();
  Value ranks = loadCount(offsetof(llmir_step_args, world_size));
  Value isFirst = b.compare(arith::CmpIPredicate::eq, worker, b.index(0));
  Value areSeveral = b.compare(arith::CmpIPredicate::ugt, ranks, b.index(1));
  b.ifThen(arith::AndIOp::create(b, isFirst, areSeveral), [&] {
    Value function = loadField(offsetof(llmir_step_args, all_reduce), pointer);
    Value collective = loadField(offsetof(llmir_step_args, collective), pointer);
    Value count = b.mul(tokenCount, b.index(KernelLibrary::rowStride(buffer.type)));
    Value elements = arith::IndexCastOp::create(b, b.getI64Type(), count);
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                            {pointer, pointer, b.getI64Type()});
    LLVM::CallOp::create(b, type, ValueRange{function, collective, data, elements});
  });
}

} // namespace mlir::llm
