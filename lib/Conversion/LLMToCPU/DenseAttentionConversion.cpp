// Dense attention in functions: see DenseAttentionConversion.h.

#include "DenseAttentionConversion.h"

#include "RuntimeCalls.h"

#include "llmir/ABI.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

namespace {
class DenseCall {
public:
  DenseCall(KernelBuilder &b, KernelLibrary &library, AttentionOp op, AttentionOp::Adaptor operands,
            AttentionTechnique technique)
      : b(b), library(library), op(op), operands(operands), technique(technique) {}

  Value emit() {
    Value output = allocateOutput();
    Value query = asRows(operands.getQuery()), keys = asRows(operands.getKeys());
    Value values = asRows(operands.getValues()), outputRows = asRows(output);
    DenseAttentionKernel kernel = getDenseAttentionKernel(
        op, technique, rowsType(query), rowsType(keys), rowsType(values), rowsType(outputRows));
    DenseTiling tiling(kernel, library.target().lanes);
    SmallVector<Value> arguments = {b.index(0), b.index(1), query, keys, values, outputRows};
    auto [tokens, keyCount] = appendLengths(kernel, arguments);
    arguments.push_back(allocateFloats(b.index(tiling.size)));
    if (kernel.keepsScores())
      arguments.push_back(
          allocateFloats(DenseScores::emitElements(b, kernel, tiling, tokens, keyCount)));
    if (Value mask = operands.getMask())
      appendMask(mask, arguments);
    if (Value sinks = operands.getSinkLogits())
      llvm::append_values(arguments, bytesOf(sinks), b.index(0));
    func::CallOp::create(b, getKernel(library, kernel), arguments);
    return output;
  }

private:
  static MemRefType rowsType(Value rows) { return cast<MemRefType>(rows.getType()); }
  Value dim(Value memref, int64_t dimension) { return memref::DimOp::create(b, memref, dimension); }

  /// The query's shape, with the values' head size.
  Value allocateOutput() {
    auto type = cast<RankedTensorType>(op.getOutput().getType());
    SmallVector<Value> sizes;
    for (int64_t i = 0; i < type.getRank(); ++i)
      if (type.isDynamicDim(i))
        sizes.push_back(dim(operands.getQuery(), i));
    return memref::AllocOp::create(b, MemRefType::get(type.getShape(), type.getElementType()),
                                   sizes);
  }

  /// Whole cache lines, so that no vector is in two.
  Value allocateFloats(Value size) {
    return memref::AllocOp::create(b, library.vectorType(b.getF32Type()), ValueRange{size},
                                   b.getI64IntegerAttr(LLMIR_ALIGNMENT));
  }

  /// [.., heads, head size] as rows of heads * head size features.
  Value asRows(Value memref) {
    auto type = cast<MemRefType>(memref.getType());
    int64_t rank = type.getRank();
    int64_t columns = type.getShape()[rank - 1] * type.getShape()[rank - 2];
    Value count = b.index(1);
    for (int64_t i = 0; i < rank - 2; ++i)
      count = b.mul(count, dim(memref, i));
    SmallVector<OpFoldResult> sizes = {count, b.getIndexAttr(columns)};
    SmallVector<OpFoldResult> strides = {b.getIndexAttr(columns), b.getIndexAttr(1)};
    return memref::ReinterpretCastOp::create(
        b, KernelLibrary::rowsType(type.getElementType(), columns, columns), memref,
        OpFoldResult(b.index(0)), sizes, strides);
  }

  /// A memref of one dimension as memref<?xT>.
  Value asVector(Value memref) {
    MemRefType type = library.vectorType(cast<MemRefType>(memref.getType()).getElementType());
    return type == memref.getType() ? memref : memref::CastOp::create(b, type, memref).getResult();
  }

  Value bytesOf(Value memref) {
    Value anySize = b.index(std::numeric_limits<int64_t>::max());
    return emitMemRefAt(b, emitPointerTo(b, memref), library.bytesType(), anySize);
  }

  /// Appends the number of sequences and the lengths; returns the most tokens and keys that a
  /// sequence has.
  std::pair<Value, Value> appendLengths(const DenseAttentionKernel &kernel,
                                        SmallVector<Value> &arguments) {
    if (!kernel.ragged) {
      Value tokens = dim(operands.getQuery(), 1), keys = dim(operands.getKeys(), 1);
      llvm::append_values(arguments, dim(operands.getQuery(), 0), tokens, keys);
      if (Value lengths = operands.getKeyLengths())
        arguments.push_back(asVector(lengths));
      return {tokens, keys};
    }
    Value cuLengths = asVector(operands.getCuLengths());
    Value cuKeyLengths =
        operands.getCuKeyLengths() ? asVector(operands.getCuKeyLengths()) : cuLengths;
    Value sequences = b.maximum(b.sub(dim(cuLengths, 0), b.index(1)), b.index(0));
    llvm::append_values(arguments, sequences, cuLengths, cuKeyLengths);
    if (!kernel.keepsScores())
      return {};
    return {emitLongest(cuLengths, sequences, dim(operands.getQuery(), 0)),
            emitLongest(cuKeyLengths, sequences, dim(operands.getKeys(), 0))};
  }

  /// The most rows of a sequence, of which there are `rows` in all.
  Value emitLongest(Value lengths, Value sequences, Value rows) {
    SmallVector<Value> longest =
        b.loop(b.index(0), sequences, 1, {b.index(0)},
               [&](Value sequence, ValueRange carried) -> SmallVector<Value> {
                 Value begin = b.toIndex(b.load(lengths, sequence));
                 Value end = b.toIndex(b.load(lengths, b.add(sequence, b.index(1))));
                 return {b.maximum(carried[0], b.sub(end, begin))};
               });
    return b.minimum(longest[0], rows);
  }

  /// The mask's bytes and strides: 0 along what it does not depend on.
  void appendMask(Value mask, SmallVector<Value> &arguments) {
    Value keys = dim(mask, 3);
    Value headStride = b.mul(dim(mask, 2), keys);
    Value sequenceStride = b.mul(dim(mask, 1), headStride);
    auto unlessOne = [&](int64_t dimension, Value stride) {
      Value isOne = b.compare(arith::CmpIPredicate::eq, dim(mask, dimension), b.index(1));
      return b.select(isOne, b.index(0), stride);
    };
    llvm::append_values(arguments, bytesOf(mask), unlessOne(0, sequenceStride),
                        unlessOne(1, headStride), keys);
  }

  KernelBuilder &b;
  KernelLibrary &library;
  AttentionOp op;
  AttentionOp::Adaptor operands;
  AttentionTechnique technique;
};
} // namespace

Value emitDenseAttention(KernelBuilder &builder, KernelLibrary &library, AttentionOp op,
                         AttentionOp::Adaptor operands, AttentionTechnique technique) {
  return DenseCall(builder, library, op, operands, technique).emit();
}

} // namespace mlir::llm
