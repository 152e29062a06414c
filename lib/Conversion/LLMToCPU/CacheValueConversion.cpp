// Making, reading and ending caches as values: see CacheValueConversion.h.

#include "CacheValueConversion.h"

#include "RuntimeCalls.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

namespace {

/// The seam's number of a type of arrays. (KVT-1: f32, f16 or bf16.)
llmir_element_type getElementNumber(Type element) {
  if (element.isF32())
    return LLMIR_F32;
  return element.isF16() ? LLMIR_F16 : LLMIR_BF16;
}

template <typename OpTy> struct CacheValueConversion : OpConversionPattern<OpTy> {
  CacheValueConversion(const TypeConverter &converter, ModuleOp module, int64_t &numConverted)
      : OpConversionPattern<OpTy>(converter, module.getContext()), module(module),
        numConverted(numConverted) {}

  ModuleOp module;
  int64_t &numConverted;
};

struct CreateKVCacheConversion : CacheValueConversion<CreateKVCacheOp> {
  using CacheValueConversion::CacheValueConversion;

  LogicalResult matchAndRewrite(CreateKVCacheOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    KernelBuilder b(op.getLoc(), rewriter);
    PagedKVCacheType type = op.getCache().getType();
    Value blocks = arith::IndexCastOp::create(b, b.getI64Type(), operands.getNumBlocks());
    rewriter.replaceOp(op, emitCacheCreate(b, module, type.getLayout(),
                                           getElementNumber(type.getElementType()), blocks));
    ++numConverted;
    return success();
  }
};

struct FreeKVCacheConversion : CacheValueConversion<FreeKVCacheOp> {
  using CacheValueConversion::CacheValueConversion;

  LogicalResult matchAndRewrite(FreeKVCacheOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    KernelBuilder b(op.getLoc(), rewriter);
    emitCacheFree(b, module, operands.getCache());
    rewriter.eraseOp(op);
    ++numConverted;
    return success();
  }
};

struct LookupKVConversion : CacheValueConversion<LookupKVOp> {
  using CacheValueConversion::CacheValueConversion;

  LogicalResult matchAndRewrite(LookupKVOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    KernelBuilder b(op.getLoc(), rewriter);
    PagedKVCacheType type = op.getCache().getType();
    Value sequences = memref::DimOp::create(b, operands.getSeqLens(), 0);
    Value tokens = getNumTokens(b, op, operands.getSeqLens(), sequences);
    auto allocate = [&](Value result, int64_t channels) -> Value {
      auto shape = cast<ShapedType>(result.getType());
      Value all[] = {sequences, tokens, b.index(type.getNumKVHeads()), b.index(channels)};
      SmallVector<Value> sizes;
      for (int64_t dim = 0; dim < 4; ++dim)
        if (shape.isDynamicDim(dim))
          sizes.push_back(all[dim]);
      return memref::AllocOp::create(b, MemRefType::get(shape.getShape(), shape.getElementType()),
                                     sizes);
    };
    CacheLookup lookup;
    lookup.layout = type.getLayout();
    lookup.elementType = getElementNumber(type.getElementType());
    lookup.table = operands.getBlockTable();
    lookup.tableStride = memref::DimOp::create(b, lookup.table, 1);
    lookup.lengths = operands.getSeqLens();
    lookup.sequences = sequences;
    lookup.tokens = tokens;
    lookup.layer = operands.getLayerIndex() ? operands.getLayerIndex() : b.index(op.getLayer());
    lookup.keys = allocate(op.getKeys(), type.getHeadDim());
    lookup.values = allocate(op.getValues(), type.getValueHeadDim());
    emitCacheLookup(b, module, operands.getCache(), lookup);
    rewriter.replaceOp(op, {lookup.keys, lookup.values});
    ++numConverted;
    return success();
  }

private:
  /// The tokens of a row of the results: what their type says, or else the longest length.
  static Value getNumTokens(KernelBuilder &b, LookupKVOp op, Value lengths, Value sequences) {
    for (Value result : op.getResults())
      if (int64_t tokens = cast<ShapedType>(result.getType()).getDimSize(1);
          !ShapedType::isDynamic(tokens))
        return b.index(tokens);
    return b
        .loop(b.index(0), sequences, 1, {b.index(0)},
              [&](Value i, ValueRange longest) -> SmallVector<Value> {
                return {b.maximum(longest[0], b.toIndex(b.load(lengths, i)))};
              })
        .front();
  }
};

} // namespace

void populateCacheValuePatterns(RewritePatternSet &patterns, const TypeConverter &converter,
                                ModuleOp module, int64_t &numConverted) {
  patterns.add<CreateKVCacheConversion, FreeKVCacheConversion, LookupKVConversion>(
      converter, module, numConverted);
}

} // namespace mlir::llm
