// A kernel's body as one thread's function: see ThreadFunction.h.

#include "ThreadFunction.h"

#include "AccessChecks.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMAttrs.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::llm {

namespace {
class KernelConverter {
public:
  KernelConverter(gpu::GPUFuncOp kernel, ModuleOp module, SIMTRuntime &runtime,
                  const LLVMTypeConverter &types, const SIMTOptions &options)
      : kernel(kernel), runtime(runtime), types(types), options(options),
        b(kernel.getLoc(), module.getContext()) {
    b.setInsertionPointToEnd(module.getBody());
  }

  FailureOr<ThreadFunction> convert();

private:
  LogicalResult checkOps();
  void layOutWorkgroupMemory();
  void replaceArguments(Block &entry);
  Value emitArgument(Value arguments, unsigned number, Type type);
  Value emitWorkgroupBuffer(Value memory, const WorkgroupBuffer &buffer);
  void forgetAddressSpaces(func::FuncOp function);
  void replaceOp(Operation *op);
  void replaceShuffle(gpu::ShuffleOp op);

  gpu::GPUFuncOp kernel;
  SIMTRuntime &runtime;
  const LLVMTypeConverter &types;
  const SIMTOptions &options;
  ImplicitLocOpBuilder b;
  ThreadFunction result;
  Value thread;
  Value shuffleScratch; ///< A byte of the thread's own.
  SmallVector<WorkgroupBuffer> buffers;
};
} // namespace

static int64_t bytesOf(MemRefType type) {
  unsigned bits = type.getElementType().isIndex() ? 64 : type.getElementTypeBitWidth();
  return type.getNumElements() * llvm::divideCeil(bits, 8);
}

/// Ops of the gpu dialect that threads may run.
static bool hasMeaning(Operation *op) {
  return isa<gpu::ThreadIdOp, gpu::BlockIdOp, gpu::BlockDimOp, gpu::GridDimOp, gpu::LaneIdOp,
             gpu::SubgroupIdOp, gpu::SubgroupSizeOp, gpu::NumSubgroupsOp, gpu::GlobalIdOp,
             gpu::BarrierOp, gpu::ShuffleOp, gpu::ReturnOp>(op);
}

LogicalResult KernelConverter::checkOps() {
  WalkResult walked = kernel.walk([&](Operation *op) {
    if (op == kernel || !isa_and_nonnull<gpu::GPUDialect>(op->getDialect()) || hasMeaning(op))
      return WalkResult::advance();
    op->emitOpError("has no meaning on the CPU; expected ids, sizes, barriers, shuffles and "
                    "reductions");
    return WalkResult::interrupt();
  });
  for (BlockArgument attribution : kernel.getWorkgroupAttributions())
    if (!cast<MemRefType>(attribution.getType()).hasStaticShape())
      return kernel.emitOpError("expected workgroup memory of a static shape, but got ")
             << attribution.getType();
  return failure(walked.wasInterrupted());
}

void KernelConverter::layOutWorkgroupMemory() {
  int64_t end = 0;
  for (BlockArgument attribution : kernel.getWorkgroupAttributions()) {
    auto type = cast<MemRefType>(attribution.getType());
    buffers.push_back({attribution, end});
    end = llvm::alignTo(end + bytesOf(type), 64);
  }
  result.workgroupBytes = end;
}

/// Argument `number` of the kernel, out of the structure that a launch has filled.
Value KernelConverter::emitArgument(Value arguments, unsigned number, Type type) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value at = LLVM::GEPOp::create(b, pointer, result.arguments, arguments,
                                 ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(number)});
  Type stored = result.arguments.getBody()[number];
  Value value = LLVM::LoadOp::create(b, stored, at);
  if (stored == type)
    return value;
  return UnrealizedConversionCastOp::create(b, TypeRange{type}, ValueRange{value}).getResult(0);
}

Value KernelConverter::emitWorkgroupBuffer(Value memory, const WorkgroupBuffer &buffer) {
  auto type = cast<MemRefType>(buffer.memref.getType());
  auto plain = MemRefType::get(type.getShape(), type.getElementType());
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value address = LLVM::GEPOp::create(b, pointer, b.getI8Type(), memory,
                                      ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(buffer.offset)});
  auto descriptor = MemRefDescriptor::fromStaticShape(b, b.getLoc(), types, plain, address);
  return UnrealizedConversionCastOp::create(b, TypeRange{plain},
                                            ValueRange{static_cast<Value>(descriptor)})
      .getResult(0);
}

/// The kernel's arguments and attributions become values of the function's two arguments.
void KernelConverter::replaceArguments(Block &entry) {
  unsigned numArguments = kernel.getNumArguments();
  SmallVector<BlockArgument> old(entry.getArguments());
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value arguments = entry.addArgument(pointer, b.getLoc());
  thread = entry.addArgument(pointer, b.getLoc());
  b.setInsertionPointToStart(&entry);
  Value one = arith::ConstantOp::create(b, b.getI64IntegerAttr(1));
  shuffleScratch = LLVM::AllocaOp::create(b, pointer, b.getI8Type(), one);
  for (unsigned number = 0; number < numArguments; ++number)
    old[number].replaceAllUsesWith(emitArgument(arguments, number, old[number].getType()));
  if (!buffers.empty()) {
    Value memory = runtime.emitWorkgroup(b, thread);
    for (WorkgroupBuffer &buffer : buffers) {
      Value plain = emitWorkgroupBuffer(memory, buffer);
      buffer.memref.replaceAllUsesWith(plain);
      buffer.memref = plain;
    }
  }
  // What is left is private to the thread.
  for (BlockArgument argument : ArrayRef(old).drop_front(numArguments + buffers.size())) {
    auto type = cast<MemRefType>(argument.getType());
    Value memory =
        memref::AllocaOp::create(b, MemRefType::get(type.getShape(), type.getElementType()));
    argument.replaceAllUsesWith(memory);
  }
  entry.eraseArguments(0, old.size());
}

/// All memory is the host's.
void KernelConverter::forgetAddressSpaces(func::FuncOp function) {
  auto forget = [](Value value) {
    auto type = dyn_cast<MemRefType>(value.getType());
    if (type && isa_and_nonnull<gpu::AddressSpaceAttr>(type.getMemorySpace()))
      value.setType(MemRefType::get(type.getShape(), type.getElementType(), type.getLayout()));
  };
  function.walk([&](Operation *op) {
    llvm::for_each(op->getResults(), forget);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        llvm::for_each(block.getArguments(), forget);
  });
}

/// An integer or float of up to 64 bits as i64, and back.
static Value toBits(ImplicitLocOpBuilder &b, Value value) {
  Type type = value.getType();
  if (isa<FloatType>(type))
    value = arith::BitcastOp::create(b, b.getIntegerType(type.getIntOrFloatBitWidth()), value);
  if (value.getType().isInteger(64))
    return value;
  return arith::ExtUIOp::create(b, b.getI64Type(), value);
}
static Value fromBits(ImplicitLocOpBuilder &b, Value bits, Type type) {
  Type integer = b.getIntegerType(type.getIntOrFloatBitWidth());
  if (integer != bits.getType())
    bits = arith::TruncIOp::create(b, integer, bits);
  return isa<FloatType>(type) ? Value(arith::BitcastOp::create(b, type, bits)) : bits;
}

void KernelConverter::replaceShuffle(gpu::ShuffleOp op) {
  auto [bits, valid] = runtime.emitShuffle(b, thread, toBits(b, op.getValue()), op, shuffleScratch);
  op.getShuffleResult().replaceAllUsesWith(fromBits(b, bits, op.getShuffleResult().getType()));
  op.getValid().replaceAllUsesWith(valid);
}

void KernelConverter::replaceOp(Operation *op) {
  b.setLoc(op->getLoc());
  b.setInsertionPoint(op);
  using Field = SIMTRuntime::Field;
  auto field = [&](Field which, gpu::Dimension dimension) {
    return runtime.emitField(b, thread, which, dimension);
  };
  auto size = [&] { return arith::ConstantIndexOp::create(b, options.subgroupSize); };
  auto number = [&] { return runtime.emitThreadNumber(b, thread); };
  Value value;
  if (auto id = dyn_cast<gpu::ThreadIdOp>(op)) {
    value = field(Field::ThreadId, id.getDimension());
  } else if (auto id = dyn_cast<gpu::BlockIdOp>(op)) {
    value = field(Field::BlockId, id.getDimension());
  } else if (auto dim = dyn_cast<gpu::BlockDimOp>(op)) {
    value = field(Field::BlockDim, dim.getDimension());
  } else if (auto dim = dyn_cast<gpu::GridDimOp>(op)) {
    value = field(Field::GridDim, dim.getDimension());
  } else if (auto id = dyn_cast<gpu::GlobalIdOp>(op)) {
    value = arith::MulIOp::create(b, field(Field::BlockId, id.getDimension()),
                                  field(Field::BlockDim, id.getDimension()));
    value = arith::AddIOp::create(b, value, field(Field::ThreadId, id.getDimension()));
  } else if (isa<gpu::LaneIdOp>(op)) {
    value = arith::RemUIOp::create(b, number(), size());
  } else if (isa<gpu::SubgroupIdOp>(op)) {
    value = arith::DivUIOp::create(b, number(), size());
  } else if (isa<gpu::SubgroupSizeOp>(op)) {
    value = size();
  } else if (isa<gpu::NumSubgroupsOp>(op)) {
    Value threads = field(Field::BlockDim, gpu::Dimension::x);
    for (gpu::Dimension dimension : {gpu::Dimension::y, gpu::Dimension::z})
      threads = arith::MulIOp::create(b, threads, field(Field::BlockDim, dimension));
    value = arith::CeilDivUIOp::create(b, threads, size());
  } else if (isa<gpu::BarrierOp>(op)) {
    runtime.emitBarrier(b, thread, op);
  } else if (auto shuffle = dyn_cast<gpu::ShuffleOp>(op)) {
    replaceShuffle(shuffle);
  } else if (isa<gpu::ReturnOp>(op)) {
    func::ReturnOp::create(b);
  }
  if (value)
    op->getResult(0).replaceAllUsesWith(value);
  op->erase();
}

FailureOr<ThreadFunction> KernelConverter::convert() {
  if (failed(checkOps()))
    return failure();
  layOutWorkgroupMemory();
  SmallVector<Type> stored;
  for (Type type : kernel.getArgumentTypes()) {
    Type converted = types.convertType(type);
    if (!converted)
      return kernel.emitOpError("has an argument of a type that no host function can pass: ")
             << type;
    stored.push_back(converted);
  }
  MLIRContext *context = b.getContext();
  result.arguments = LLVM::LLVMStructType::getLiteral(context, stored);
  auto parent = kernel->getParentOfType<gpu::GPUModuleOp>();
  result.name = (parent.getName() + "_" + kernel.getName()).str();

  auto pointer = LLVM::LLVMPointerType::get(context);
  result.function = func::FuncOp::create(b, result.name, b.getFunctionType({pointer, pointer}, {}));
  result.function.setPrivate();
  result.function->setAttr("llvm.linkage",
                           LLVM::LinkageAttr::get(context, LLVM::linkage::Linkage::Internal));
  result.function.getBody().takeBody(kernel.getBody());
  replaceArguments(result.function.getBody().front());
  forgetAddressSpaces(result.function);
  SmallVector<Operation *> ops;
  result.function.walk([&](Operation *op) {
    if (isa_and_nonnull<gpu::GPUDialect>(op->getDialect()))
      ops.push_back(op);
  });
  for (Operation *op : ops)
    replaceOp(op);
  if (options.checks)
    addAccessChecks(result.function, thread, buffers, runtime);
  return result;
}

FailureOr<ThreadFunction> convertKernel(gpu::GPUFuncOp kernel, ModuleOp module,
                                        SIMTRuntime &runtime, const LLVMTypeConverter &types,
                                        const SIMTOptions &options) {
  return KernelConverter(kernel, module, runtime, types, options).convert();
}

} // namespace mlir::llm
