// Converts functions that manage a cache themselves to host code that asks the runtime for slots
// and tables and launches kernels: see Passes.td. Every op is a call of a launch function where the
// op stood. Device buffers live inside launch functions.

#include "GPUKernels.h"
#include "GPUOpChecks.h"

#include "../LLMToCPU/CacheOpConversion.h"

#include "llmir/Conversion/LLMToGPU/Passes.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

#define GEN_PASS_DEF_CONVERTLLMTOGPUPASS
#include "llmir/Conversion/LLMToGPU/Passes.h.inc"

namespace {
class GPUConversion : public CacheConversion {
public:
  GPUConversion(ModuleOp module, const GPUTarget &target)
      : CacheConversion(module), library(module, target) {}

  void emitStore(HostEmitter &c, const llmir_cache_layout &layout, Value handle, Value keys,
                 Value values, Value slots, Value layer) override {
    StoreKVDeviceKernel kernel{layout, cast<MemRefType>(keys.getType()).getElementType()};
    func::FuncOp launch = getLaunch(library, kernel);
    Value flatKeys = c.flatten(keys), flatValues = c.flatten(values);
    c.withPool(handle, layout, [&](Value pool) {
      SmallVector<Value> arguments = {flatKeys, flatValues, pool, slots, layer};
      arguments.append(c.emitScales(handle, layout));
      func::CallOp::create(c.b, launch, arguments);
    });
  }

  GPUKernelLibrary library;
};

struct PagedAttentionConversion : OpConversionPattern<PagedAttentionOp> {
  PagedAttentionConversion(const TypeConverter &types, GPUConversion &conversion)
      : OpConversionPattern(types, conversion.module.getContext()), conversion(conversion) {}

  LogicalResult matchAndRewrite(PagedAttentionOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    ++conversion.numConverted;
    HostEmitter c(op, conversion.module, rewriter);
    Value query = operands.getQuery(), table = operands.getBlockTable();
    Value output = c.allocateLike(op.getOutput(), query);
    Value lengths = c.flatten(operands.getSeqLens());
    Value cuLengths =
        operands.getCuLengths() ? c.flatten(operands.getCuLengths()) : c.emitPaddedLengths(query);
    AttentionDeviceKernel kernel = getAttentionKernel(op);
    func::FuncOp launch = getLaunch(conversion.library, kernel);
    Value layer = c.layerOf(operands.getLayerIndex(), op.getLayer());
    // Without a cache the result is zero, not what the memory held before.
    c.withPool(
        operands.getCache(), kernel.layout,
        [&](Value pool) {
          SmallVector<Value> arguments = {
              c.flatten(query), pool,  c.flatten(table), c.dim(table, 1), lengths,
              cuLengths,        layer, c.flatten(output)};
          arguments.append(c.emitScales(operands.getCache(), kernel.layout));
          if (std::optional<ArrayRef<float>> slopes = op.getAlibiSlopes())
            arguments.push_back(c.flatten(emitConstants(c, *slopes)));
          if (Value sinks = operands.getSinkLogits())
            arguments.push_back(c.flatten(sinks));
          if (Value tree = operands.getTreeMask())
            arguments.push_back(c.flatten(tree));
          if (Value positions = operands.getPositions())
            arguments.push_back(c.flatten(positions));
          func::CallOp::create(c.b, launch, arguments);
        },
        [&] { c.fillWithZero(output); });
    rewriter.replaceOp(op, output);
    return success();
  }

private:
  /// The numbers as a constant global; equal ones share one.
  Value emitConstants(HostEmitter &c, ArrayRef<float> numbers) const {
    auto type = MemRefType::get({static_cast<int64_t>(numbers.size())}, c.b.getF32Type());
    auto shaped = RankedTensorType::get(type.getShape(), type.getElementType());
    Attribute value = DenseElementsAttr::get(shaped, numbers);
    size_t count = 0;
    memref::GlobalOp found;
    for (auto global : conversion.module.getOps<memref::GlobalOp>()) {
      count += global.getSymName().starts_with("alibi_slopes_");
      if (global.getConstant() && global.getInitialValue() == value)
        found = global;
    }
    if (!found) {
      OpBuilder::InsertionGuard guard(c.b);
      c.b.setInsertionPointToStart(conversion.module.getBody());
      found = memref::GlobalOp::create(c.b, "alibi_slopes_" + std::to_string(count),
                                       c.b.getStringAttr("private"), type, value,
                                       /*constant=*/true, /*alignment=*/IntegerAttr());
    }
    return memref::GetGlobalOp::create(c.b, type, found.getSymName());
  }

  GPUConversion &conversion;
};

struct RMSNormConversion : OpConversionPattern<RMSNormOp> {
  RMSNormConversion(const TypeConverter &types, GPUConversion &conversion)
      : OpConversionPattern(types, conversion.module.getContext()), conversion(conversion) {}

  LogicalResult matchAndRewrite(RMSNormOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    // A weight has become a global of the same name.
    auto global = conversion.module.lookupSymbol<memref::GlobalOp>(op.getWeightAttr().getAttr());
    if (!global)
      return rewriter.notifyMatchFailure(op, "its weight is no global");
    ++conversion.numConverted;
    HostEmitter c(op, conversion.module, rewriter);
    auto type = cast<RankedTensorType>(op.getInput().getType());
    Value weight = memref::GetGlobalOp::create(c.b, global.getType(), global.getSymName());
    Value output = c.allocateLike(op.getOutput(), operands.getInput());
    RMSNormDeviceKernel kernel{getNumFeatures(type), op.getEpsilon().convertToDouble(),
                               type.getElementType(), global.getType().getElementType()};
    func::CallOp::create(
        c.b, getLaunch(conversion.library, kernel),
        ValueRange{c.flatten(operands.getInput()), c.flatten(weight), c.flatten(output)});
    rewriter.replaceOp(op, output);
    return success();
  }
  GPUConversion &conversion;
};

class ConvertLLMToGPUPass : public impl::ConvertLLMToGPUPassBase<ConvertLLMToGPUPass>,
                            public CountingPass {
public:
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> functions = findCacheFunctions(module);
    if (functions.empty())
      return;
    FailureOr<GPUTarget> target = makeTarget(module);
    if (failed(target) || failed(checkFunctionsForGPU(functions, *target)))
      return signalPassFailure();
    turnWeightsIntoGlobals(functions);
    GPUConversion conversion(module, *target);
    CacheFunctionTypes types;
    RewritePatternSet patterns(&getContext());
    populateCacheOpPatterns(patterns, types, conversion);
    patterns.add<PagedAttentionConversion, RMSNormConversion>(types, conversion);
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
};
} // namespace

} // namespace mlir::llm
