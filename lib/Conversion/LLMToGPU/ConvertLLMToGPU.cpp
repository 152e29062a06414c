// Converts functions that manage a cache themselves to host code that asks the runtime for slots
// and tables and launches kernels: see Passes.td. Every op is a call of a launch function where the
// op stood. Host buffers are freed by MLIR's ownership-based deallocation, which runs last; device
// buffers live inside launch functions.

#include "GPUKernels.h"

#include "../LLMToCPU/RuntimeCalls.h"

#include "llmir/Conversion/LLMToGPU/Passes.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "mlir/Conversion/BufferizationToMemRef/BufferizationToMemRef.h"
#include "mlir/Dialect/Arith/Transforms/BufferDeallocationOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/Transforms/BufferDeallocationOpInterfaceImpl.h"
#include "mlir/Dialect/Func/Transforms/FuncConversions.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/AllocationOpInterfaceImpl.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/BufferDeallocationOpInterfaceImpl.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/DialectConversion.h"
#include "mlir/Transforms/Passes.h"

namespace mlir::llm {

#define GEN_PASS_DEF_CONVERTLLMTOGPUPASS
#include "llmir/Conversion/LLMToGPU/Passes.h.inc"

namespace {
/// Tensors are memrefs without layout, a cache is the runtime's handle.
class HostTypeConverter : public TypeConverter {
public:
  HostTypeConverter() {
    addConversion([](Type type) { return type; });
    addConversion([](RankedTensorType type) {
      return MemRefType::get(type.getShape(), type.getElementType());
    });
    addConversion([](PagedKVCacheType type) -> Type {
      return LLVM::LLVMPointerType::get(type.getContext());
    });
  }
};

/// What the patterns share.
struct ConversionState {
  ModuleOp module;
  GPUKernelLibrary library;
  int64_t numConverted = 0;
};

/// Emits the parts of which all patterns are made, in front of `op`.
class OpConverter {
public:
  OpConverter(Operation *op, ConversionState &state, ConversionPatternRewriter &rewriter)
      : b(op->getLoc(), rewriter), state(state) {
    ++state.numConverted;
  }

  Value dim(Value memref, int64_t dimension) { return memref::DimOp::create(b, memref, dimension); }
  Value toI64(Value index) { return arith::IndexCastOp::create(b, b.getI64Type(), index); }
  Value layerOf(Value index, int64_t attribute) { return index ? index : b.index(attribute); }

  /// A buffer of the result's type.
  Value allocateResult(Value result, ValueRange dynamicSizes) {
    auto tensor = cast<RankedTensorType>(result.getType());
    auto type = MemRefType::get(tensor.getShape(), tensor.getElementType());
    return memref::AllocOp::create(b, type, dynamicSizes);
  }
  /// A buffer of the type of `result` and the sizes of `memref`, which has its shape.
  Value allocateLike(Value result, Value memref) {
    SmallVector<Value> sizes;
    auto shape = cast<RankedTensorType>(result.getType()).getShape();
    for (auto [index, size] : llvm::enumerate(shape))
      if (ShapedType::isDynamic(size))
        sizes.push_back(dim(memref, static_cast<int64_t>(index)));
    return allocateResult(result, sizes);
  }
  /// A buffer for the op alone.
  Value allocateTemporary(Type element, Value size) {
    auto type = MemRefType::get({ShapedType::kDynamic}, element);
    return memref::AllocOp::create(b, type, ValueRange{size});
  }

  /// A memref of any shape as memref<?xT>.
  Value flatten(Value memref) {
    auto type = cast<MemRefType>(memref.getType());
    Value size = b.index(1);
    for (int64_t i = 0; i < type.getRank(); ++i)
      size = b.mul(size, dim(memref, i));
    return memref::ReinterpretCastOp::create(
        b, state.library.vectorType(type.getElementType()), memref, OpFoldResult(b.getIndexAttr(0)),
        SmallVector<OpFoldResult>{size}, SmallVector<OpFoldResult>{b.getIndexAttr(1)});
  }

  /// Runs `body` with the pool's bytes, if the handle's layout is the type's; otherwise
  /// `otherwise`.
  void withPool(Value handle, const llmir_cache_layout &layout,
                llvm::function_ref<void(Value pool)> body,
                llvm::function_ref<void()> otherwise = {}) {
    Value base = emitCacheBase(b, state.module, handle, layout);
    Value null = LLVM::ZeroOp::create(b, base.getType());
    Value isThere = LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::ne, base, null);
    Value anySize = b.index(std::numeric_limits<int64_t>::max());
    b.ifThen(
        isThere, [&] { body(emitMemRefAt(b, base, state.library.bytesType(), anySize)); },
        otherwise);
  }
  void fillWithZero(Value memref) {
    Value flat = flatten(memref);
    Value zero = arith::ConstantOp::create(
        b, b.getZeroAttr(cast<MemRefType>(flat.getType()).getElementType()));
    b.loop(b.index(0), dim(flat, 0), 1, [&](Value i) { b.store(zero, flat, i); });
  }

  void emitStore(Value cache, Value handle, Value keys, Value values, Value slots, Value layer) {
    StoreKVDeviceKernel kernel{cast<PagedKVCacheType>(cache.getType()).getLayout(),
                               cast<MemRefType>(keys.getType()).getElementType()};
    func::FuncOp launch = getLaunch(state.library, kernel);
    Value flatKeys = flatten(keys), flatValues = flatten(values);
    withPool(handle, kernel.layout, [&](Value pool) {
      func::CallOp::create(b, launch, ValueRange{flatKeys, flatValues, pool, slots, layer});
    });
  }

  KernelBuilder b;

private:
  ConversionState &state;
};

struct AppendKVConversion : OpConversionPattern<AppendKVOp> {
  AppendKVConversion(const TypeConverter &converter, ConversionState &state)
      : OpConversionPattern(converter, state.module.getContext()), state(state) {}

  LogicalResult matchAndRewrite(AppendKVOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    OpConverter c(op, state, rewriter);
    Value keys = operands.getKeys();
    bool isPadded = cast<MemRefType>(keys.getType()).getRank() == 4;
    Value batch = c.dim(keys, 0);
    Value tokens = isPadded ? c.dim(keys, 1) : c.b.index(1);
    SmallVector<Value> sizes;
    ArrayRef<int64_t> shape = cast<RankedTensorType>(op.getBlockIndices().getType()).getShape();
    for (auto [size, value] : llvm::zip_equal(shape, ValueRange{batch, tokens}))
      if (ShapedType::isDynamic(size))
        sizes.push_back(value);
    Value blocks = c.allocateResult(op.getBlockIndices(), sizes);
    Value slots = c.allocateTemporary(c.b.getI32Type(), c.b.mul(batch, tokens));
    emitCacheAppend(c.b, state.module, operands.getCache(), operands.getSeqIds(), c.toI64(batch),
                    c.toI64(tokens), slots, blocks);
    c.emitStore(op.getCache(), operands.getCache(), keys, operands.getValues(), slots,
                c.layerOf(operands.getLayerIndex(), op.getLayer()));
    rewriter.replaceOp(op, {operands.getCache(), blocks});
    return success();
  }
  ConversionState &state;
};

struct StoreKVConversion : OpConversionPattern<StoreKVOp> {
  StoreKVConversion(const TypeConverter &converter, ConversionState &state)
      : OpConversionPattern(converter, state.module.getContext()), state(state) {}

  LogicalResult matchAndRewrite(StoreKVOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    OpConverter c(op, state, rewriter);
    c.emitStore(op.getCache(), operands.getCache(), operands.getKeys(), operands.getValues(),
                c.flatten(operands.getSlots()), c.layerOf(operands.getLayerIndex(), op.getLayer()));
    rewriter.replaceOp(op, operands.getCache());
    return success();
  }
  ConversionState &state;
};

struct BlockTableConversion : OpConversionPattern<BlockTableOp> {
  BlockTableConversion(const TypeConverter &converter, ConversionState &state)
      : OpConversionPattern(converter, state.module.getContext()), state(state) {}

  LogicalResult matchAndRewrite(BlockTableOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    OpConverter c(op, state, rewriter);
    auto type = cast<RankedTensorType>(op.getTable().getType());
    auto cache = cast<PagedKVCacheType>(op.getCache().getType());
    Value batch = c.dim(operands.getSeqIds(), 0);
    Value maxBlocks =
        c.b.index(type.isDynamicDim(1) ? cache.getMaxBlocksPerSequence() : type.getDimSize(1));
    SmallVector<Value> sizes;
    if (type.isDynamicDim(0))
      sizes.push_back(batch);
    if (type.isDynamicDim(1))
      sizes.push_back(maxBlocks);
    Value table = c.allocateResult(op.getTable(), sizes);
    emitCacheBlockTable(c.b, state.module, operands.getCache(), operands.getSeqIds(),
                        c.toI64(batch), c.toI64(maxBlocks), table);
    rewriter.replaceOp(op, table);
    return success();
  }
  ConversionState &state;
};

/// What a paged attention needs of a kernel.
AttentionDeviceKernel kernelOf(PagedAttentionOp op) {
  return {cast<PagedKVCacheType>(op.getCache().getType()).getLayout(), op.getNumHeads(),
          op.getScale().convertToDouble(),
          cast<RankedTensorType>(op.getQuery().getType()).getElementType()};
}

struct PagedAttentionConversion : OpConversionPattern<PagedAttentionOp> {
  PagedAttentionConversion(const TypeConverter &converter, ConversionState &state)
      : OpConversionPattern(converter, state.module.getContext()), state(state) {}

  LogicalResult matchAndRewrite(PagedAttentionOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    OpConverter c(op, state, rewriter);
    Value query = operands.getQuery(), table = operands.getBlockTable();
    Value output = c.allocateLike(op.getOutput(), query);
    Value lengths = c.flatten(operands.getSeqLens());
    Value cuLengths =
        operands.getCuLengths() ? c.flatten(operands.getCuLengths()) : emitPaddedLengths(c, query);
    AttentionDeviceKernel kernel = kernelOf(op);
    func::FuncOp launch = getLaunch(state.library, kernel);
    Value layer = c.layerOf(operands.getLayerIndex(), op.getLayer());
    // Without a cache the result is zero, not what the memory held before.
    c.withPool(
        operands.getCache(), kernel.layout,
        [&](Value pool) {
          func::CallOp::create(c.b, launch,
                               ValueRange{c.flatten(query), pool, c.flatten(table), c.dim(table, 1),
                                          lengths, cuLengths, layer, c.flatten(output)});
        },
        [&] { c.fillWithZero(output); });
    rewriter.replaceOp(op, output);
    return success();
  }

private:
  /// 0, tokens, 2 * tokens, …: a padded batch as a ragged one.
  static Value emitPaddedLengths(OpConverter &c, Value query) {
    KernelBuilder &b = c.b;
    Value tokens = c.dim(query, 1);
    Value end = b.add(c.dim(query, 0), b.index(1));
    Value cuLengths = c.allocateTemporary(b.getI32Type(), end);
    b.loop(b.index(0), end, 1, [&](Value i) { b.store(b.toI32(b.mul(i, tokens)), cuLengths, i); });
    return cuLengths;
  }
  ConversionState &state;
};

struct RMSNormConversion : OpConversionPattern<RMSNormOp> {
  RMSNormConversion(const TypeConverter &converter, ConversionState &state)
      : OpConversionPattern(converter, state.module.getContext()), state(state) {}

  LogicalResult matchAndRewrite(RMSNormOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    OpConverter c(op, state, rewriter);
    auto type = cast<RankedTensorType>(op.getInput().getType());
    // A weight has become a global of the same name.
    auto global = state.module.lookupSymbol<memref::GlobalOp>(op.getWeightAttr().getAttr());
    if (!global)
      return rewriter.notifyMatchFailure(op, "its weight is no global");
    Value weight = memref::GetGlobalOp::create(c.b, global.getType(), global.getSymName());
    Value output = c.allocateLike(op.getOutput(), operands.getInput());
    RMSNormDeviceKernel kernel{getNumFeatures(type), op.getEpsilon().convertToDouble(),
                               type.getElementType(), global.getType().getElementType()};
    func::CallOp::create(
        c.b, getLaunch(state.library, kernel),
        ValueRange{c.flatten(operands.getInput()), c.flatten(weight), c.flatten(output)});
    rewriter.replaceOp(op, output);
    return success();
  }
  ConversionState &state;
};

class ConvertLLMToGPUPass : public impl::ConvertLLMToGPUPassBase<ConvertLLMToGPUPass>,
                            public CountingPass {
public:
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> functions = findFunctions(module);
    if (functions.empty())
      return;
    FailureOr<GPUTarget> target = makeTarget(module);
    if (failed(target) || failed(checkOps(functions, *target)))
      return signalPassFailure();
    turnWeightsIntoGlobals(functions);
    ConversionState state{module, GPUKernelLibrary(module, *target)};
    for (func::FuncOp function : functions)
      if (failed(convert(function, state)))
        return signalPassFailure();
    count("ops-converted", state.numConverted);
    if (failed(insertDeallocations(module, functions)))
      signalPassFailure();
  }

  void getDependentDialects(DialectRegistry &registry) const override {
    Base::getDependentDialects(registry);
    registry.insert<bufferization::BufferizationDialect>();
    arith::registerBufferDeallocationOpInterfaceExternalModels(registry);
    cf::registerBufferDeallocationOpInterfaceExternalModels(registry);
    scf::registerBufferDeallocationOpInterfaceExternalModels(registry);
    memref::registerAllocationOpInterfaceExternalModels(registry);
  }

private:
  FailureOr<GPUTarget> makeTarget(ModuleOp module) {
    constexpr int64_t threads = 128;
    if (subgroupSize != 32 && subgroupSize != 64)
      return emitError(module.getLoc(), "expected 'subgroup-size' to be 32 or 64, but got ")
             << subgroupSize.getValue();
    if (splitTokens <= 0 || splitTokens % threads != 0)
      return emitError(module.getLoc(), "expected 'split-tokens' to be a multiple of ")
             << threads << ", but got " << splitTokens.getValue();
    return GPUTarget{subgroupSize, workgroupMemory, splitTokens};
  }

  LogicalResult convert(func::FuncOp function, ConversionState &state) {
    HostTypeConverter converter;
    RewritePatternSet patterns(&getContext());
    patterns.add<AppendKVConversion, BlockTableConversion, PagedAttentionConversion,
                 RMSNormConversion, StoreKVConversion>(converter, state);
    populateFunctionOpInterfaceTypeConversionPattern<func::FuncOp>(patterns, converter);
    populateReturnOpTypeConversionPattern(patterns, converter);
    populateCallOpTypeConversionPattern(patterns, converter);
    ConversionTarget legal(getContext());
    legal.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    legal.addIllegalDialect<LLMDialect>();
    legal.addDynamicallyLegalOp<func::FuncOp>(
        [&](func::FuncOp op) { return converter.isSignatureLegal(op.getFunctionType()); });
    legal.addDynamicallyLegalOp<func::ReturnOp, func::CallOp>(
        [&](Operation *op) { return converter.isLegal(op); });
    scf::populateSCFStructuralTypeConversionsAndLegality(converter, patterns, legal);
    if (failed(applyPartialConversion(function, legal, std::move(patterns))))
      return failure();
    returnEachBufferOnce(function);
    if (function.isPublic())
      function->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), UnitAttr::get(&getContext()));
    return success();
  }

  LogicalResult insertDeallocations(ModuleOp module, ArrayRef<func::FuncOp> functions) {
    // Only in these functions: launch functions free what they allocate.
    OpPassManager ownership(func::FuncOp::getOperationName());
    ownership.addPass(createCanonicalizerPass());
    ownership.addPass(bufferization::createOwnershipBasedBufferDeallocationPass());
    ownership.addPass(createCanonicalizerPass());
    ownership.addPass(bufferization::createBufferDeallocationSimplificationPass());
    for (func::FuncOp function : functions)
      if (failed(runPipeline(ownership, function)))
        return failure();
    OpPassManager lowering(ModuleOp::getOperationName());
    lowering.addPass(bufferization::createLowerDeallocationsPass());
    lowering.addPass(createConvertBufferizationToMemRefPass());
    if (failed(runPipeline(lowering, module)))
      return failure();
    // Its helper is a private function; those are not symbols of the object file.
    for (auto function : module.getOps<func::FuncOp>())
      if (function.isPrivate() && !function.isExternal())
        function->setAttr("llvm.linkage",
                          LLVM::LinkageAttr::get(&getContext(), LLVM::linkage::Linkage::Internal));
    return success();
  }

  /// Ok when every op is one that this pass lowers, or passes tensors on.
  static LogicalResult checkOps(ArrayRef<func::FuncOp> functions, const GPUTarget &target) {
    for (func::FuncOp function : functions) {
      if (!function.isExternal() && !llvm::hasSingleElement(function.getBody()))
        return function.emitOpError("over a cache is expected to have one block, with scf for "
                                    "control flow, but it has ")
               << function.getBlocks().size();
      WalkResult result = function.walk([&](Operation *op) {
        return failed(checkOp(op, target)) ? WalkResult::interrupt() : WalkResult::advance();
      });
      if (result.wasInterrupted())
        return failure();
    }
    return success();
  }

  static LogicalResult checkOp(Operation *op, const GPUTarget &target) {
    auto isTensor = [](Type type) { return isa<TensorType>(type); };
    if (auto attention = dyn_cast<PagedAttentionOp>(op)) {
      int64_t bytes = getWorkgroupBytes(target, kernelOf(attention));
      if (bytes > target.workgroupMemory)
        return op->emitOpError("expected a target with ")
               << bytes << " bytes of workgroup memory, but got " << target.workgroupMemory;
      return success();
    }
    if (auto norm = dyn_cast<RMSNormOp>(op)) {
      if (ShapedType::isDynamic(getNumFeatures(cast<RankedTensorType>(norm.getInput().getType()))))
        return op->emitOpError("expected a known number of features to lower it to a GPU");
      return success();
    }
    if (isa<AppendKVOp, BlockTableOp, StoreKVOp>(op))
      return success();
    if (isa_and_nonnull<LLMDialect>(op->getDialect()))
      return op->emitOpError("cannot be lowered to a GPU; expected llm.append_kv, llm.store_kv, "
                             "llm.block_table, llm.paged_attention or llm.rms_norm");
    if (isa<func::FuncOp, func::CallOp, func::ReturnOp>(op) ||
        isa_and_nonnull<scf::SCFDialect>(op->getDialect()))
      return success();
    if (llvm::any_of(op->getOperandTypes(), isTensor) ||
        llvm::any_of(op->getResultTypes(), isTensor))
      return op->emitOpError("on tensors cannot be lowered in a function over a cache");
    return success();
  }

  /// The weights of norms become external globals of their names.
  static void turnWeightsIntoGlobals(ArrayRef<func::FuncOp> functions) {
    for (func::FuncOp function : functions)
      function.walk([](RMSNormOp op) {
        WeightOp weight = lookupWeight(op, op.getWeightAttr());
        if (!weight)
          return;
        auto tensor = cast<RankedTensorType>(weight.getType());
        OpBuilder builder(weight);
        memref::GlobalOp::create(builder, weight.getLoc(), weight.getSymName(),
                                 /*sym_visibility=*/StringAttr(),
                                 MemRefType::get(tensor.getShape(), tensor.getElementType()),
                                 /*initial_value=*/Attribute(), /*constant=*/false,
                                 /*alignment=*/IntegerAttr());
        weight.erase();
      });
  }

  /// The caller frees each result, so a buffer that is returned twice is copied.
  static void returnEachBufferOnce(func::FuncOp function) {
    function.walk([](func::ReturnOp op) {
      OpBuilder builder(op);
      llvm::SmallDenseSet<Value> returned;
      for (OpOperand &operand : op->getOpOperands())
        if (isa<MemRefType>(operand.get().getType()) && !returned.insert(operand.get()).second)
          operand.set(bufferization::CloneOp::create(builder, op.getLoc(), operand.get()));
    });
  }

  /// Functions of which a signature or an op is the dialect's.
  static SmallVector<func::FuncOp> findFunctions(ModuleOp module) {
    SmallVector<func::FuncOp> functions;
    for (auto function : module.getOps<func::FuncOp>()) {
      auto hasCache = [](TypeRange types) {
        return llvm::any_of(types, llvm::IsaPred<PagedKVCacheType>);
      };
      bool usesCache = hasCache(function.getArgumentTypes()) || hasCache(function.getResultTypes());
      function.walk([&](Operation *op) {
        usesCache |=
            isa_and_nonnull<LLMDialect>(op->getDialect()) || hasCache(op->getResultTypes());
      });
      if (usesCache)
        functions.push_back(function);
    }
    return functions;
  }
};
} // namespace

} // namespace mlir::llm
