// Converts functions that manage a cache themselves: `llm.append_kv`, `llm.store_kv`,
// `llm.block_table` and `llm.paged_attention`, padded or ragged, over memrefs and the runtime's
// cache handle. Every tile of an op is computed where the op stood. Buffers are freed by MLIR's
// ownership-based deallocation, which runs last.

#include "CacheElements.h"
#include "CacheOpKernels.h"
#include "HostFeatures.h"
#include "Kernels.h"
#include "RuntimeCalls.h"

#include "llmir/Conversion/LLMToCPU/Passes.h"
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

#define GEN_PASS_DEF_CONVERTLLMTOCPUPASS
#include "llmir/Conversion/LLMToCPU/Passes.h.inc"

namespace {
/// Tensors are memrefs without layout, a cache is the runtime's handle.
class CPUTypeConverter : public TypeConverter {
public:
  CPUTypeConverter() {
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
  KernelLibrary library;
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

  /// A buffer of the result's type.
  Value allocateResult(Value result, ValueRange dynamicSizes) {
    auto tensor = cast<RankedTensorType>(result.getType());
    auto type = MemRefType::get(tensor.getShape(), tensor.getElementType());
    return memref::AllocOp::create(b, type, dynamicSizes);
  }
  SmallVector<Value> dynamicSizesOf(Value memref) {
    SmallVector<Value> sizes;
    for (auto [index, size] : llvm::enumerate(cast<MemRefType>(memref.getType()).getShape()))
      if (ShapedType::isDynamic(size))
        sizes.push_back(dim(memref, static_cast<int64_t>(index)));
    return sizes;
  }
  /// A buffer for the op alone.
  Value allocateTemporary(Type element, Value size) {
    auto type = MemRefType::get({ShapedType::kDynamic}, element);
    return memref::AllocOp::create(b, type, ValueRange{size});
  }

  /// A memref of any shape as memref<?xT>.
  Value flatten(Value memref) {
    Type element = cast<MemRefType>(memref.getType()).getElementType();
    Value size = countElements(memref);
    return memref::ReinterpretCastOp::create(
        b, state.library.vectorType(element), memref, OpFoldResult(b.getIndexAttr(0)),
        SmallVector<OpFoldResult>{size}, SmallVector<OpFoldResult>{b.getIndexAttr(1)});
  }
  Value countElements(Value memref) {
    Value size = b.index(1);
    for (int64_t i = 0, rank = cast<MemRefType>(memref.getType()).getRank(); i < rank; ++i)
      size = b.mul(size, dim(memref, i));
    return size;
  }
  /// [.., heads, head size] as rows of heads * head size features.
  Value asRows(Value memref) {
    auto type = cast<MemRefType>(memref.getType());
    int64_t columns = type.getShape().back() * type.getShape()[type.getRank() - 2];
    MemRefType rows = KernelLibrary::rowsType(type.getElementType(), columns, columns);
    Value count = b.div(countElements(memref), b.index(columns));
    SmallVector<OpFoldResult> sizes = {count, b.getIndexAttr(columns)};
    SmallVector<OpFoldResult> strides = {b.getIndexAttr(columns), b.getIndexAttr(1)};
    return memref::ReinterpretCastOp::create(b, rows, memref, OpFoldResult(b.index(0)), sizes,
                                             strides);
  }
  Value layerOf(Value index, int64_t attribute) { return index ? index : b.index(attribute); }

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
    Type element = cast<MemRefType>(flat.getType()).getElementType();
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(element));
    b.loop(b.index(0), countElements(memref), 1, [&](Value i) { b.store(zero, flat, i); });
  }

  void emitStore(const llmir_cache_layout &layout, Value handle, Value keys, Value values,
                 Value slots, Value layer) {
    Value keyRows = asRows(keys), valueRows = asRows(values);
    StoreKVKernel kernel{layout, cast<MemRefType>(keyRows.getType()),
                         cast<MemRefType>(valueRows.getType())};
    func::FuncOp function = getKernel(state.library, kernel);
    withPool(handle, layout, [&](Value pool) {
      SmallVector<Value> arguments = {b.index(0), dim(keyRows, 0), keyRows, valueRows,
                                      pool,       slots,           layer};
      appendScales(arguments, layout, handle);
      func::CallOp::create(b, function, arguments);
    });
  }

  /// Adds the constant scales of the handle's cache, where its layout has any.
  void appendScales(SmallVector<Value> &arguments, const llmir_cache_layout &layout, Value handle) {
    auto append = [&](const CacheSide &side, StringRef function) {
      if (!side.hasConstantScale())
        return;
      Value pointer = emitCacheScales(b, state.module, handle, function);
      arguments.push_back(emitMemRefAt(b, pointer, state.library.vectorType(b.getF32Type()),
                                       b.index(std::numeric_limits<int64_t>::max())));
    };
    append(CacheSide::keys(layout), "llmir_rt_cache_key_scales");
    append(CacheSide::values(layout), "llmir_rt_cache_value_scales");
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
    KernelBuilder &b = c.b;
    Value keys = operands.getKeys();
    bool isPadded = cast<MemRefType>(keys.getType()).getRank() == 4;
    Value batch = c.dim(keys, 0);
    Value tokens = isPadded ? c.dim(keys, 1) : b.index(1);
    SmallVector<Value> sizes;
    ArrayRef<int64_t> shape = cast<RankedTensorType>(op.getBlockIndices().getType()).getShape();
    for (auto [size, value] : llvm::zip_equal(shape, ValueRange{batch, tokens}))
      if (ShapedType::isDynamic(size))
        sizes.push_back(value);
    Value blocks = c.allocateResult(op.getBlockIndices(), sizes);
    Value slots = c.allocateTemporary(b.getI32Type(), b.mul(batch, tokens));
    emitCacheAppend(b, state.module, operands.getCache(), operands.getSeqIds(), c.toI64(batch),
                    c.toI64(tokens), slots, blocks);
    c.emitStore(cast<PagedKVCacheType>(op.getCache().getType()).getLayout(), operands.getCache(),
                keys, operands.getValues(), slots,
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
    c.emitStore(cast<PagedKVCacheType>(op.getCache().getType()).getLayout(), operands.getCache(),
                operands.getKeys(), operands.getValues(), c.flatten(operands.getSlots()),
                c.layerOf(operands.getLayerIndex(), op.getLayer()));
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

struct PagedAttentionConversion : OpConversionPattern<PagedAttentionOp> {
  PagedAttentionConversion(const TypeConverter &converter, ConversionState &state)
      : OpConversionPattern(converter, state.module.getContext()), state(state) {}

  LogicalResult matchAndRewrite(PagedAttentionOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    OpConverter c(op, state, rewriter);
    KernelBuilder &b = c.b;
    Value query = operands.getQuery();
    llmir_cache_layout layout = cast<PagedKVCacheType>(op.getCache().getType()).getLayout();
    Value output = c.allocateResult(op.getOutput(), c.dynamicSizesOf(query));
    Value lengths = c.flatten(operands.getSeqLens());
    Value sequences = c.dim(lengths, 0);
    Value cuLengths = operands.getCuLengths() ? c.flatten(operands.getCuLengths())
                                              : emitPaddedLengths(c, query, sequences);
    Value queryRows = c.asRows(query), outputRows = c.asRows(output);
    AttentionKernel kernel = getAttentionKernel(op, cast<MemRefType>(queryRows.getType()),
                                                cast<MemRefType>(outputRows.getType()));
    Value scratch = c.allocateTemporary(b.getF32Type(), b.index(kernel.scratchElements()));
    func::FuncOp function = getKernel(state.library, kernel);
    Value table = operands.getBlockTable();
    // Without a cache the result is zero, not what the memory held before.
    c.withPool(
        operands.getCache(), layout,
        [&](Value pool) {
          SmallVector<Value> arguments = {
              b.index(0),       b.index(1),
              queryRows,        pool,
              c.flatten(table), c.dim(table, 1),
              lengths,          cuLengths,
              sequences,        c.layerOf(operands.getLayerIndex(), op.getLayer()),
              scratch,          scratch,
              outputRows};
          c.appendScales(arguments, layout, operands.getCache());
          if (Value sinks = operands.getSinkLogits())
            llvm::append_values(arguments,
                                emitMemRefAt(b, emitPointerTo(b, sinks), state.library.bytesType(),
                                             b.index(kernel.heads * 4)),
                                b.index(0));
          if (Value mask = operands.getTreeMask())
            llvm::append_values(arguments, c.flatten(mask),
                                arith::ConstantOp::create(b, b.getBoolAttr(true)).getResult());
          if (Value positions = operands.getPositions())
            arguments.push_back(c.flatten(positions));
          func::CallOp::create(b, function, arguments);
        },
        [&] { c.fillWithZero(output); });
    rewriter.replaceOp(op, output);
    return success();
  }

private:
  /// 0, tokens, 2 * tokens, …: a padded batch as a ragged one.
  static Value emitPaddedLengths(OpConverter &c, Value query, Value sequences) {
    KernelBuilder &b = c.b;
    Value tokens = c.dim(query, 1);
    Value end = b.add(sequences, b.index(1));
    Value cuLengths = c.allocateTemporary(b.getI32Type(), end);
    b.loop(b.index(0), end, 1, [&](Value i) { b.store(b.toI32(b.mul(i, tokens)), cuLengths, i); });
    return cuLengths;
  }
  ConversionState &state;
};

class ConvertLLMToCPUPass : public impl::ConvertLLMToCPUPassBase<ConvertLLMToCPUPass>,
                            public CountingPass {
public:
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> functions = findFunctions(module);
    if (functions.empty())
      return;
    if (failed(checkOps(functions)))
      return signalPassFailure();
    FailureOr<CPUTarget> target = targetFromOption(module, features);
    if (failed(target))
      return signalPassFailure();

    ConversionState state{module, KernelLibrary(module, *target)};
    CPUTypeConverter converter;
    RewritePatternSet patterns(&getContext());
    patterns
        .add<AppendKVConversion, BlockTableConversion, PagedAttentionConversion, StoreKVConversion>(
            converter, state);
    populateFunctionOpInterfaceTypeConversionPattern<func::FuncOp>(patterns, converter);
    populateReturnOpTypeConversionPattern(patterns, converter);
    populateCallOpTypeConversionPattern(patterns, converter);
    ConversionTarget legal(getContext());
    legal.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    legal.addIllegalDialect<LLMDialect>();
    legal.addLegalOp<WeightOp>();
    legal.addDynamicallyLegalOp<func::FuncOp>([&](func::FuncOp function) {
      return converter.isSignatureLegal(function.getFunctionType());
    });
    legal.addDynamicallyLegalOp<func::ReturnOp, func::CallOp>(
        [&](Operation *op) { return converter.isLegal(op); });
    scf::populateSCFStructuralTypeConversionsAndLegality(converter, patterns, legal);
    FrozenRewritePatternSet frozen(std::move(patterns));
    for (func::FuncOp function : functions) {
      if (failed(applyPartialConversion(function, legal, frozen)))
        return signalPassFailure();
      returnEachBufferOnce(function);
      if (function.isPublic())
        function->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(),
                          UnitAttr::get(&getContext()));
    }
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
  LogicalResult insertDeallocations(ModuleOp module, ArrayRef<func::FuncOp> functions) {
    // Only in these functions: tile functions own no buffers.
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
  static LogicalResult checkOps(ArrayRef<func::FuncOp> functions) {
    auto isTensor = [](Type type) { return isa<TensorType>(type); };
    for (func::FuncOp function : functions) {
      if (!function.isExternal() && !llvm::hasSingleElement(function.getBody()))
        return function.emitOpError("over a cache is expected to have one block, with scf for "
                                    "control flow, but it has ")
               << function.getBlocks().size();
      WalkResult result = function.walk([&](Operation *op) {
        if (auto attention = dyn_cast<PagedAttentionOp>(op))
          return failed(checkAttention(attention)) ? WalkResult::interrupt()
                                                   : WalkResult::advance();
        if (isa<AppendKVOp, BlockTableOp, StoreKVOp>(op))
          return WalkResult::advance();
        if (isa_and_nonnull<LLMDialect>(op->getDialect())) {
          op->emitOpError("cannot be lowered outside a step; expected llm.append_kv, "
                          "llm.store_kv, llm.block_table or llm.paged_attention");
          return WalkResult::interrupt();
        }
        if (isa<func::FuncOp, func::CallOp, func::ReturnOp>(op) ||
            isa_and_nonnull<scf::SCFDialect>(op->getDialect()))
          return WalkResult::advance();
        if (llvm::any_of(op->getOperandTypes(), isTensor) ||
            llvm::any_of(op->getResultTypes(), isTensor)) {
          op->emitOpError("on tensors cannot be lowered in a function over a cache");
          return WalkResult::interrupt();
        }
        return WalkResult::advance();
      });
      if (result.wasInterrupted())
        return failure();
    }
    return success();
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

  /// Functions of which a signature or an op is the dialect's, without a model's step.
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
      if (usesCache && !function->hasAttr("llm.step"))
        functions.push_back(function);
    }
    return functions;
  }
};
} // namespace

} // namespace mlir::llm
