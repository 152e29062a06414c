// Converting the ops that manage a cache: see CacheOpConversion.h.

#include "CacheOpConversion.h"

#include "CacheElements.h"
#include "RuntimeCalls.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::llm {

//===--- Host code ----------------------------------------------------------------------------===//

Value HostEmitter::dim(Value memref, int64_t dimension) {
  return memref::DimOp::create(b, memref, dimension);
}
Value HostEmitter::toI64(Value index) {
  return arith::IndexCastOp::create(b, b.getI64Type(), index);
}
Value HostEmitter::countElements(Value memref) {
  Value size = b.index(1);
  for (int64_t i = 0, rank = cast<MemRefType>(memref.getType()).getRank(); i < rank; ++i)
    size = b.mul(size, dim(memref, i));
  return size;
}

MemRefType HostEmitter::vectorType(Type element) {
  return MemRefType::get({ShapedType::kDynamic}, element);
}

Value HostEmitter::allocateResult(Value result, ValueRange dynamicSizes) {
  auto shaped = cast<ShapedType>(result.getType());
  auto type = MemRefType::get(shaped.getShape(), shaped.getElementType());
  return memref::AllocOp::create(b, type, dynamicSizes);
}
Value HostEmitter::allocateLike(Value result, Value memref) {
  SmallVector<Value> sizes;
  for (auto [index, size] : llvm::enumerate(cast<ShapedType>(result.getType()).getShape()))
    if (ShapedType::isDynamic(size))
      sizes.push_back(dim(memref, static_cast<int64_t>(index)));
  return allocateResult(result, sizes);
}
Value HostEmitter::allocateTemporary(Type element, Value size) {
  return memref::AllocOp::create(b, vectorType(element), ValueRange{size});
}

Value HostEmitter::flatten(Value memref) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  Value size = countElements(memref);
  return memref::ReinterpretCastOp::create(
      b, vectorType(element), memref, OpFoldResult(b.getIndexAttr(0)),
      SmallVector<OpFoldResult>{size}, SmallVector<OpFoldResult>{b.getIndexAttr(1)});
}
void HostEmitter::fillWithZero(Value memref) {
  Value flat = flatten(memref);
  Type element = cast<MemRefType>(flat.getType()).getElementType();
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(element));
  b.loop(b.index(0), dim(flat, 0), 1, [&](Value i) { b.store(zero, flat, i); });
}
Value HostEmitter::emitPaddedLengths(Value query) {
  Value tokens = dim(query, 1);
  Value end = b.add(dim(query, 0), b.index(1));
  Value cuLengths = allocateTemporary(b.getI32Type(), end);
  b.loop(b.index(0), end, 1, [&](Value i) { b.store(b.toI32(b.mul(i, tokens)), cuLengths, i); });
  return cuLengths;
}

void HostEmitter::withPool(Value handle, const llmir_cache_layout &layout,
                           llvm::function_ref<void(Value pool)> body,
                           llvm::function_ref<void()> otherwise) {
  Value base = emitCacheBase(b, module, handle, layout);
  Value null = LLVM::ZeroOp::create(b, base.getType());
  Value isThere = LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::ne, base, null);
  Value anySize = b.index(std::numeric_limits<int64_t>::max());
  b.ifThen(isThere, [&] { body(emitMemRefAt(b, base, bytesType(), anySize)); }, otherwise);
}

SmallVector<Value> HostEmitter::emitScales(Value handle, const llmir_cache_layout &layout) {
  SmallVector<Value> scales;
  auto append = [&](const CacheSide &side, StringRef function) {
    if (!side.hasConstantScale())
      return;
    Value pointer = emitCacheScales(b, module, handle, function);
    Value count = b.index(int64_t(layout.num_layers) * layout.num_kv_heads);
    scales.push_back(emitMemRefAt(b, pointer, vectorType(b.getF32Type()), count));
  };
  append(CacheSide::keys(layout), "llmir_rt_cache_key_scales");
  append(CacheSide::values(layout), "llmir_rt_cache_value_scales");
  return scales;
}

//===--- Patterns -----------------------------------------------------------------------------===//

namespace {
template <typename Op> struct CacheOpPattern : OpConversionPattern<Op> {
  CacheOpPattern(const TypeConverter &types, CacheConversion &conversion)
      : OpConversionPattern<Op>(types, conversion.module.getContext()), conversion(conversion) {}

  HostEmitter emitterFor(Op op, ConversionPatternRewriter &rewriter) const {
    ++conversion.numConverted;
    return HostEmitter(op, conversion.module, rewriter);
  }
  CacheConversion &conversion;
};

struct ReserveKVConversion : CacheOpPattern<ReserveKVOp> {
  using CacheOpPattern::CacheOpPattern;

  LogicalResult matchAndRewrite(ReserveKVOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    HostEmitter c = emitterFor(op, rewriter);
    Value batch = c.dim(operands.getSeqIds(), 0);
    Value tokens = operands.getTokenCount();
    if (!tokens)
      tokens = c.b.index(*op.getTokens());
    Value slots = allocate(c, op.getSlots(), c.b.mul(batch, tokens));
    Value blocks = allocate(c, op.getBlockIndices(), {batch, tokens});
    emitCacheAppend(c.b, conversion.module, operands.getCache(), operands.getSeqIds(),
                    c.toI64(batch), c.toI64(tokens), slots, blocks);
    rewriter.replaceOp(op, {operands.getCache(), slots, blocks});
    return success();
  }

private:
  static Value allocate(HostEmitter &c, Value result, ValueRange sizes) {
    SmallVector<Value> dynamic;
    ArrayRef<int64_t> shape = cast<ShapedType>(result.getType()).getShape();
    for (auto [size, value] : llvm::zip_equal(shape, sizes))
      if (ShapedType::isDynamic(size))
        dynamic.push_back(value);
    return c.allocateResult(result, dynamic);
  }
};

/// How many tokens an append has that became a reservation and a store.
struct DimConversion : OpConversionPattern<tensor::DimOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(tensor::DimOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<memref::DimOp>(op, operands.getSource(), operands.getIndex());
    return success();
  }
};

struct StoreKVConversion : CacheOpPattern<StoreKVOp> {
  using CacheOpPattern::CacheOpPattern;

  LogicalResult matchAndRewrite(StoreKVOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    HostEmitter c = emitterFor(op, rewriter);
    conversion.emitStore(c, op.getCache().getType().getLayout(), operands.getCache(),
                         operands.getKeys(), operands.getValues(), c.flatten(operands.getSlots()),
                         c.layerOf(operands.getLayerIndex(), op.getLayer()));
    rewriter.replaceOp(op, operands.getCache());
    return success();
  }
};

struct BlockTableConversion : CacheOpPattern<BlockTableOp> {
  using CacheOpPattern::CacheOpPattern;

  LogicalResult matchAndRewrite(BlockTableOp op, OpAdaptor operands,
                                ConversionPatternRewriter &rewriter) const override {
    HostEmitter c = emitterFor(op, rewriter);
    auto type = cast<ShapedType>(op.getTable().getType());
    Value batch = c.dim(operands.getSeqIds(), 0);
    Value maxBlocks =
        c.b.index(type.isDynamicDim(1) ? op.getCache().getType().getMaxBlocksPerSequence()
                                       : type.getDimSize(1));
    SmallVector<Value> sizes;
    if (type.isDynamicDim(0))
      sizes.push_back(batch);
    if (type.isDynamicDim(1))
      sizes.push_back(maxBlocks);
    Value table = c.allocateResult(op.getTable(), sizes);
    emitCacheBlockTable(c.b, conversion.module, operands.getCache(), operands.getSeqIds(),
                        c.toI64(batch), c.toI64(maxBlocks), table);
    rewriter.replaceOp(op, table);
    return success();
  }
};
} // namespace

void populateCacheOpPatterns(RewritePatternSet &patterns, const TypeConverter &types,
                             CacheConversion &conversion) {
  patterns.add<BlockTableConversion, ReserveKVConversion, StoreKVConversion>(types, conversion);
  patterns.add<DimConversion>(types, patterns.getContext());
}

} // namespace mlir::llm
