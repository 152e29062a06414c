// Calls of the runtime that runs kernels on the CPU: see SIMTRuntime.h.

#include "SIMTRuntime.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace mlir::llm {

/// Numbers before `workgroup` in llmir_simt_thread.
static constexpr int64_t kWorkgroupField = 12;

static Type pointerType(OpBuilder &b) { return LLVM::LLVMPointerType::get(b.getContext()); }

Value SIMTRuntime::constant(ImplicitLocOpBuilder &b, int64_t value) {
  return arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
}
Value SIMTRuntime::constant32(ImplicitLocOpBuilder &b, int64_t value) {
  return arith::ConstantOp::create(b, b.getI32IntegerAttr(static_cast<int32_t>(value)));
}
Value SIMTRuntime::toI64(ImplicitLocOpBuilder &b, Value index) {
  return arith::IndexCastOp::create(b, b.getI64Type(), index);
}

Value SIMTRuntime::emitField(ImplicitLocOpBuilder &b, Value thread, Field field,
                             gpu::Dimension dimension) {
  auto at = static_cast<int32_t>(static_cast<int64_t>(field) + static_cast<int64_t>(dimension));
  Value address =
      LLVM::GEPOp::create(b, pointerType(b), b.getI64Type(), thread, ArrayRef<LLVM::GEPArg>{at});
  Value number = LLVM::LoadOp::create(b, b.getI64Type(), address);
  return arith::IndexCastOp::create(b, b.getIndexType(), number);
}

Value SIMTRuntime::emitThreadNumber(ImplicitLocOpBuilder &b, Value thread) {
  auto id = [&](gpu::Dimension d) { return emitField(b, thread, Field::ThreadId, d); };
  auto dim = [&](gpu::Dimension d) { return emitField(b, thread, Field::BlockDim, d); };
  Value number = arith::MulIOp::create(b, id(gpu::Dimension::z), dim(gpu::Dimension::y));
  number = arith::AddIOp::create(b, number, id(gpu::Dimension::y));
  number = arith::MulIOp::create(b, number, dim(gpu::Dimension::x));
  return arith::AddIOp::create(b, number, id(gpu::Dimension::x));
}

Value SIMTRuntime::emitWorkgroup(ImplicitLocOpBuilder &b, Value thread) {
  Value address =
      LLVM::GEPOp::create(b, pointerType(b), b.getI64Type(), thread,
                          ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(kWorkgroupField)});
  return LLVM::LoadOp::create(b, pointerType(b), address);
}

Value SIMTRuntime::emitText(ImplicitLocOpBuilder &b, StringRef text) {
  LLVM::GlobalOp &global = texts[text];
  if (!global) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    std::string bytes = text.str() + '\0';
    Type type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
    global = LLVM::GlobalOp::create(b, type, /*isConstant=*/true, LLVM::Linkage::Internal,
                                    "simt_text_" + std::to_string(texts.size() - 1),
                                    b.getStringAttr(bytes), /*alignment=*/1);
  }
  return LLVM::AddressOfOp::create(b, global);
}

Value SIMTRuntime::emitPlace(ImplicitLocOpBuilder &b, Operation *op) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << op->getName();
  if (op->getNumOperands() > 0 && isa<MemRefType>(op->getOperands().front().getType()))
    stream << " on " << op->getOperands().front().getType();
  else if (op->getNumOperands() > 1 && isa<MemRefType>(op->getOperand(1).getType()))
    stream << " on " << op->getOperand(1).getType();
  stream << ' ' << op->getLoc();
  return emitText(b, text);
}

LLVM::CallOp SIMTRuntime::emitCall(ImplicitLocOpBuilder &b, StringRef name, Type result,
                                   ValueRange arguments) {
  auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!function) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    auto type = LLVM::LLVMFunctionType::get(result, SmallVector<Type>(arguments.getTypes()));
    function = LLVM::LLVMFuncOp::create(b, name, type);
  }
  return LLVM::CallOp::create(b, function, arguments);
}

void SIMTRuntime::emitBarrier(ImplicitLocOpBuilder &b, Value thread, Operation *op) {
  // Two barriers are two places even when their location is the same.
  std::string text;
  llvm::raw_string_ostream(text) << "barrier " << numBarriers++ << ' ' << op->getLoc();
  emitCall(b, "llmir_simt_barrier", LLVM::LLVMVoidType::get(b.getContext()),
           {thread, emitText(b, text)});
}

static int64_t modeNumber(gpu::ShuffleMode mode) {
  switch (mode) {
  case gpu::ShuffleMode::XOR:
    return 0;
  case gpu::ShuffleMode::UP:
    return 1;
  case gpu::ShuffleMode::DOWN:
    return 2;
  case gpu::ShuffleMode::IDX:
    return 3;
  }
  llvm_unreachable("unknown shuffle mode");
}

std::pair<Value, Value> SIMTRuntime::emitShuffle(ImplicitLocOpBuilder &b, Value thread, Value bits,
                                                 gpu::ShuffleOp op, Value scratch) {
  Value mode = constant32(b, modeNumber(op.getMode()));
  Value result =
      emitCall(b, "llmir_simt_shuffle", b.getI64Type(),
               {thread, bits, mode, op.getOffset(), op.getWidth(), scratch, emitPlace(b, op)})
          .getResult();
  Value isValid = LLVM::LoadOp::create(b, b.getI8Type(), scratch);
  return {result, arith::TruncIOp::create(b, b.getI1Type(), isValid)};
}

void SIMTRuntime::emitOutOfBounds(ImplicitLocOpBuilder &b, Value thread, Value index, Value size,
                                  Operation *op) {
  emitCall(b, "llmir_simt_out_of_bounds", LLVM::LLVMVoidType::get(b.getContext()),
           {thread, toI64(b, index), toI64(b, size), emitPlace(b, op)});
}

void SIMTRuntime::emitWorkgroupAccess(ImplicitLocOpBuilder &b, Value thread, Value offset,
                                      bool isWrite, Operation *op) {
  emitCall(b, "llmir_simt_workgroup_access", LLVM::LLVMVoidType::get(b.getContext()),
           {thread, toI64(b, offset), constant32(b, isWrite), emitPlace(b, op)});
}

void SIMTRuntime::emitLaunch(ImplicitLocOpBuilder &b, const Launch &launch) {
  // llmir_simt_launch_args: three addresses, then eight numbers.
  SmallVector<Value> fields = {emitText(b, launch.name), launch.body, launch.arguments};
  for (Value size : launch.grid)
    fields.push_back(toI64(b, size));
  for (Value size : launch.block)
    fields.push_back(toI64(b, size));
  fields.push_back(constant(b, launch.subgroupSize));
  fields.push_back(constant(b, launch.workgroupBytes));
  SmallVector<Type> types;
  for (Value field : fields)
    types.push_back(field.getType());
  Type structure = LLVM::LLVMStructType::getLiteral(b.getContext(), types);
  Value memory = LLVM::AllocaOp::create(b, pointerType(b), structure, constant(b, 1));
  for (auto [number, field] : llvm::enumerate(fields)) {
    Value at = LLVM::GEPOp::create(b, pointerType(b), structure, memory,
                                   ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(number)});
    LLVM::StoreOp::create(b, field, at);
  }
  emitCall(b, "llmir_simt_launch", LLVM::LLVMVoidType::get(b.getContext()), {memory});
}

} // namespace mlir::llm
