// Converts functions that manage a cache themselves: `llm.append_kv`, `llm.store_kv`,
// `llm.block_table` and `llm.paged_attention`, padded or ragged, over memrefs and the runtime's
// cache handle. Every tile of an op is computed where the op stood.

#include "CPUOpChecks.h"
#include "CacheOpConversion.h"
#include "CacheOpKernels.h"
#include "HostFeatures.h"
#include "RuntimeCalls.h"

#include "llmir/Conversion/LLMToCPU/Passes.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

#define GEN_PASS_DEF_CONVERTLLMTOCPUPASS
#include "llmir/Conversion/LLMToCPU/Passes.h.inc"

namespace {
/// [.., heads, head size] as rows of heads * head size features.
Value asRows(HostEmitter &c, Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t columns = type.getShape().back() * type.getShape()[type.getRank() - 2];
  MemRefType rows = KernelLibrary::rowsType(type.getElementType(), columns, columns);
  Value count = c.b.div(c.countElements(memref), c.b.index(columns));
  SmallVector<OpFoldResult> sizes = {count, c.b.getIndexAttr(columns)};
  SmallVector<OpFoldResult> strides = {c.b.getIndexAttr(columns), c.b.getIndexAttr(1)};
  return memref::ReinterpretCastOp::create(c.b, rows, memref, OpFoldResult(c.b.index(0)), sizes,
                                           strides);
}

class CPUConversion : public CacheConversion {
public:
  CPUConversion(ModuleOp module, const CPUTarget &target)
      : CacheConversion(module), library(module, target) {}

  void emitStore(HostEmitter &c, const llmir_cache_layout &layout, Value handle, Value keys,
                 Value values, Value slots, Value layer) override {
    Value keyRows = asRows(c, keys), valueRows = asRows(c, values);
    StoreKVKernel kernel{layout, cast<MemRefType>(keyRows.getType()),
                         cast<MemRefType>(valueRows.getType())};
    func::FuncOp function = getKernel(library, kernel);
    c.withPool(handle, layout, [&](Value pool) {
      SmallVector<Value> arguments = {
          c.b.index(0), c.dim(keyRows, 0), keyRows, valueRows, pool, slots, layer};
      arguments.append(c.emitScales(handle, layout));
      func::CallOp::create(c.b, function, arguments);
    });
  }

  KernelLibrary library;
};

struct PagedAttentionConversion : OpConversionPattern<PagedAttentionOp> {
  PagedAttentionConversion(const TypeConverter &types, CPUConversion &conversion)
      : OpConversionPattern(types, conversion.module.getContext()), conversion(conversion) {}

  LogicalResult matchAndRewrite(PagedAttentionOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    ++conversion.numConverted;
    HostEmitter c(op, conversion.module, rewriter);
    KernelBuilder &b = c.b;
    Value query = operands.getQuery();
    llmir_cache_layout layout = op.getCache().getType().getLayout();
    Value output = c.allocateLike(op.getOutput(), query);
    Value lengths = c.flatten(operands.getSeqLens());
    Value sequences = c.dim(lengths, 0);
    Value cuLengths =
        operands.getCuLengths() ? c.flatten(operands.getCuLengths()) : c.emitPaddedLengths(query);
    Value queryRows = asRows(c, query), outputRows = asRows(c, output);
    AttentionKernel kernel = getAttentionKernel(op, cast<MemRefType>(queryRows.getType()),
                                                cast<MemRefType>(outputRows.getType()));
    Value scratch = c.allocateTemporary(b.getF32Type(), b.index(kernel.scratchElements()));
    func::FuncOp function = getKernel(conversion.library, kernel);
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
          arguments.append(c.emitScales(operands.getCache(), layout));
          if (Value sinks = operands.getSinkLogits())
            llvm::append_values(
                arguments,
                emitMemRefAt(b, emitPointerTo(b, sinks), c.bytesType(), b.index(kernel.heads * 4)),
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
  CPUConversion &conversion;
};

class ConvertLLMToCPUPass : public impl::ConvertLLMToCPUPassBase<ConvertLLMToCPUPass>,
                            public CountingPass {
public:
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> functions = findCacheFunctions(module);
    llvm::erase_if(functions, isStep);
    if (functions.empty())
      return;
    FailureOr<CPUTarget> target = targetFromOption(module, features);
    if (failed(checkFunctionsForCPU(functions)) || failed(target))
      return signalPassFailure();

    CPUConversion conversion(module, *target);
    CacheFunctionTypes types;
    RewritePatternSet patterns(&getContext());
    populateCacheOpPatterns(patterns, types, conversion);
    patterns.add<PagedAttentionConversion>(types, conversion);
    if (failed(convertCacheFunctions(functions, types, std::move(patterns))))
      return signalPassFailure();
    count("ops-converted", conversion.numConverted);
    auto run = [&](OpPassManager &passes, Operation *op) { return runPipeline(passes, op); };
    if (failed(deallocateBuffers(module, functions, run)))
      signalPassFailure();
  }

  void getDependentDialects(DialectRegistry &registry) const override {
    Base::getDependentDialects(registry);
    registerCacheFunctionDialects(registry);
  }
};
} // namespace

} // namespace mlir::llm
