// Functions that manage a cache themselves: see CacheFunctions.h.

#include "CacheFunctions.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/Patterns.h"
#include "mlir/Conversion/BufferizationToMemRef/BufferizationToMemRef.h"
#include "mlir/Dialect/Arith/Transforms/BufferDeallocationOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/Transforms/BufferDeallocationOpInterfaceImpl.h"
#include "mlir/Dialect/Func/Transforms/FuncConversions.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/Transforms/AllocationOpInterfaceImpl.h"
#include "mlir/Dialect/SCF/Transforms/BufferDeallocationOpInterfaceImpl.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/Passes.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::llm {

//===--- Finding ------------------------------------------------------------------------------===//

static bool isOfDialect(Type type) { return isa<LLMDialect>(type.getDialect()); }

static bool usesDialect(func::FuncOp function) {
  if (llvm::any_of(function.getArgumentTypes(), isOfDialect) ||
      llvm::any_of(function.getResultTypes(), isOfDialect))
    return true;
  WalkResult walked = function.walk([](Operation *op) {
    bool uses = isa_and_nonnull<LLMDialect>(op->getDialect()) ||
                llvm::any_of(op->getResultTypes(), isOfDialect);
    return uses ? WalkResult::interrupt() : WalkResult::advance();
  });
  return walked.wasInterrupted();
}

static bool passesTensors(func::FuncOp function) {
  auto isTensor = llvm::IsaPred<TensorType>;
  return llvm::any_of(function.getArgumentTypes(), isTensor) ||
         llvm::any_of(function.getResultTypes(), isTensor);
}

SmallVector<func::FuncOp> findCacheFunctions(ModuleOp module) {
  SymbolTable symbols(module);
  llvm::SmallSetVector<Operation *, 8> found;
  for (auto function : module.getOps<func::FuncOp>())
    if (usesDialect(function))
      found.insert(function);
  // A call converts when caller and callee do.
  SmallVector<std::pair<func::FuncOp, func::FuncOp>> calls;
  if (!found.empty())
    module.walk([&](func::CallOp call) {
      auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
      auto caller = call->getParentOfType<func::FuncOp>();
      if (callee && caller && passesTensors(callee))
        calls.emplace_back(caller, callee);
    });
  for (bool changed = true; changed;) {
    changed = false;
    for (auto [caller, callee] : calls)
      if (found.contains(caller) != found.contains(callee)) {
        found.insert(caller);
        found.insert(callee);
        changed = true;
      }
  }
  SmallVector<func::FuncOp> functions;
  for (auto function : module.getOps<func::FuncOp>())
    if (found.contains(function))
      functions.push_back(function);
  return functions;
}

//===--- Converting ---------------------------------------------------------------------------===//

CacheFunctionTypes::CacheFunctionTypes() {
  addConversion([](Type type) { return type; });
  addConversion([](RankedTensorType type) {
    return MemRefType::get(type.getShape(), type.getElementType());
  });
  addConversion(
      [](PagedKVCacheType type) -> Type { return LLVM::LLVMPointerType::get(type.getContext()); });
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

LogicalResult convertCacheFunctions(ArrayRef<func::FuncOp> functions,
                                    const CacheFunctionTypes &types, RewritePatternSet &&patterns) {
  MLIRContext *context = patterns.getContext();
  // Appends become reservations and stores.
  RewritePatternSet separation(context);
  populateSeparateKVAllocationPatterns(separation);
  FrozenRewritePatternSet frozenSeparation(std::move(separation));
  for (func::FuncOp function : functions)
    walkAndApplyPatterns(function, frozenSeparation);

  populateFunctionOpInterfaceTypeConversionPattern<func::FuncOp>(patterns, types);
  populateReturnOpTypeConversionPattern(patterns, types);
  populateCallOpTypeConversionPattern(patterns, types);
  ConversionTarget legal(*context);
  legal.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
  legal.addIllegalDialect<LLMDialect>();
  legal.addLegalOp<WeightOp>();
  legal.addIllegalOp<tensor::DimOp>();
  legal.addDynamicallyLegalOp<func::FuncOp>(
      [&](func::FuncOp function) { return types.isSignatureLegal(function.getFunctionType()); });
  legal.addDynamicallyLegalOp<func::ReturnOp, func::CallOp>(
      [&](Operation *op) { return types.isLegal(op); });
  scf::populateSCFStructuralTypeConversionsAndLegality(types, patterns, legal);
  FrozenRewritePatternSet frozen(std::move(patterns));
  for (func::FuncOp function : functions) {
    if (failed(applyPartialConversion(function, legal, frozen)))
      return failure();
    returnEachBufferOnce(function);
    if (function.isPublic())
      function->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), UnitAttr::get(context));
  }
  return success();
}

//===--- Freeing ------------------------------------------------------------------------------===//

LogicalResult
deallocateBuffers(ModuleOp module, ArrayRef<func::FuncOp> functions,
                  llvm::function_ref<LogicalResult(OpPassManager &, Operation *)> run) {
  // Only in these functions: what the target's kernels and launches need, they free themselves.
  OpPassManager ownership(func::FuncOp::getOperationName());
  ownership.addPass(createCanonicalizerPass());
  ownership.addPass(bufferization::createOwnershipBasedBufferDeallocationPass());
  ownership.addPass(createCanonicalizerPass());
  ownership.addPass(bufferization::createBufferDeallocationSimplificationPass());
  for (func::FuncOp function : functions)
    if (failed(run(ownership, function)))
      return failure();
  OpPassManager lowering(ModuleOp::getOperationName());
  lowering.addPass(bufferization::createLowerDeallocationsPass());
  lowering.addPass(createConvertBufferizationToMemRefPass());
  if (failed(run(lowering, module)))
    return failure();
  // Its helper is a private function; those are not symbols of the object file.
  MLIRContext *context = module.getContext();
  for (auto function : module.getOps<func::FuncOp>())
    if (function.isPrivate() && !function.isExternal())
      function->setAttr("llvm.linkage",
                        LLVM::LinkageAttr::get(context, LLVM::linkage::Linkage::Internal));
  return success();
}

void registerCacheFunctionDialects(DialectRegistry &registry) {
  registry.insert<bufferization::BufferizationDialect, tensor::TensorDialect>();
  arith::registerBufferDeallocationOpInterfaceExternalModels(registry);
  cf::registerBufferDeallocationOpInterfaceExternalModels(registry);
  scf::registerBufferDeallocationOpInterfaceExternalModels(registry);
  memref::registerAllocationOpInterfaceExternalModels(registry);
}

} // namespace mlir::llm
