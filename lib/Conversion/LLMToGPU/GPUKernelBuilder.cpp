// The vocabulary of GPU kernels: see GPUKernelBuilder.h.

#include "GPUKernelBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::llm {

GPUKernelBuilder::GPUKernelBuilder(gpu::GPUFuncOp function, const GPUTarget &target,
                                   int64_t threads)
    : KernelBuilder(function.getLoc(), function.getContext()), function(function), target(target),
      numThreads(threads) {
  assert(threads % target.subgroupSize == 0 && "expected whole subgroups");
  setInsertionPointToStart(&function.getBody().front());
}

Value GPUKernelBuilder::threadId() { return gpu::ThreadIdOp::create(*this, gpu::Dimension::x); }
Value GPUKernelBuilder::blockId(gpu::Dimension which) {
  return gpu::BlockIdOp::create(*this, which);
}
Value GPUKernelBuilder::laneId() { return rem(threadId(), index(target.subgroupSize)); }
Value GPUKernelBuilder::subgroupId() { return div(threadId(), index(target.subgroupSize)); }

void GPUKernelBuilder::barrier() { gpu::BarrierOp::create(*this); }

Value GPUKernelBuilder::workgroupBuffer(Type element, int64_t size) {
  auto space = gpu::AddressSpaceAttr::get(getContext(), gpu::AddressSpace::Workgroup);
  auto type = MemRefType::get({size}, element, MemRefLayoutAttrInterface{}, space);
  return function.addWorkgroupAttribution(type, getLoc());
}

Value GPUKernelBuilder::reduceSubgroup(Value value, Combine combine) {
  for (int64_t offset = target.subgroupSize / 2; offset > 0; offset /= 2) {
    auto shuffle =
        gpu::ShuffleOp::create(*this, value, static_cast<int32_t>(offset),
                               static_cast<int32_t>(target.subgroupSize), gpu::ShuffleMode::XOR);
    value = combine(value, shuffle.getShuffleResult());
  }
  return value;
}

SmallVector<Value> GPUKernelBuilder::reduceBlock(ValueRange values, Value scratch,
                                                 Combine combine) {
  SmallVector<Value> reduced;
  for (Value value : values)
    reduced.push_back(reduceSubgroup(value, combine));
  int64_t groups = numSubgroups();
  if (groups == 1)
    return reduced;
  Value isFirstLane = compare(arith::CmpIPredicate::eq, laneId(), index(0));
  ifThen(isFirstLane, [&] {
    Value subgroup = subgroupId();
    for (auto [number, value] : llvm::enumerate(reduced))
      store(value, scratch, add(index(static_cast<int64_t>(number) * groups), subgroup));
  });
  barrier();
  for (auto [number, value] : llvm::enumerate(reduced)) {
    int64_t first = static_cast<int64_t>(number) * groups;
    value = load(scratch, index(first));
    for (int64_t group = 1; group < groups; ++group)
      value = combine(value, load(scratch, index(first + group)));
  }
  return reduced;
}

void GPUKernelBuilder::forMine(Value count, LoopBody body) {
  loop(threadId(), count, numThreads, body);
}

SmallVector<Value> GPUKernelBuilder::ifThenElse(Value condition, ValueRange otherwise,
                                                llvm::function_ref<SmallVector<Value>()> body) {
  auto ifOp = scf::IfOp::create(*this, otherwise.getTypes(), condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(ifOp.thenBlock());
  scf::YieldOp::create(*this, body());
  setInsertionPointToStart(ifOp.elseBlock());
  scf::YieldOp::create(*this, otherwise);
  return ifOp.getResults();
}

Value GPUKernelBuilder::fma(Value x, Value y, Value z) {
  return intrinsic("llvm.fma.f32", getF32Type(), {x, y, z});
}
Value GPUKernelBuilder::maximum(Value lhs, Value rhs) {
  if (lhs.getType().isF32())
    return intrinsic("llvm.maxnum.f32", getF32Type(), {lhs, rhs});
  return KernelBuilder::maximum(lhs, rhs);
}
Value GPUKernelBuilder::minimumNumber(Value lhs, Value rhs) {
  return intrinsic("llvm.minnum.f32", getF32Type(), {lhs, rhs});
}
Value GPUKernelBuilder::absolute(Value value) {
  return intrinsic("llvm.fabs.f32", getF32Type(), value);
}
Value GPUKernelBuilder::roundEven(Value value) {
  return intrinsic("llvm.roundeven.f32", getF32Type(), value);
}
Value GPUKernelBuilder::tanh(Value value) {
  // exp(2x): infinite or zero far from 0, where tanh is 1 or -1.
  Value exponential = exp2(mul(value, f32(2.0 * llvm::numbers::log2e)));
  return sub(f32(1.0), div(f32(2.0), add(exponential, f32(1.0))));
}
Value GPUKernelBuilder::exp2(Value value) {
  return intrinsic("llvm.exp2.f32", getF32Type(), value);
}
Value GPUKernelBuilder::squareRoot(Value value) {
  return intrinsic("llvm.sqrt.f32", getF32Type(), value);
}
Value GPUKernelBuilder::greaterThan(Value lhs, Value rhs) {
  return arith::CmpFOp::create(*this, arith::CmpFPredicate::OGT, lhs, rhs);
}
Value GPUKernelBuilder::isLess(Value lhs, Value rhs) {
  return compare(arith::CmpIPredicate::slt, lhs, rhs);
}

Value GPUKernelBuilder::viewBytes(Value bytes, Type element) {
  if (element.isInteger(8))
    return bytes;
  Value size = memref::DimOp::create(*this, bytes, 0);
  size = div(size, index(element.getIntOrFloatBitWidth() / 8));
  auto type = MemRefType::get({ShapedType::kDynamic}, element);
  return memref::ViewOp::create(*this, type, bytes, index(0), ValueRange{size});
}

} // namespace mlir::llm
