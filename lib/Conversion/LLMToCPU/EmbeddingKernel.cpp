// Embedding rows out of the packed matrix that the output head may share. Floor: a row's bytes,
// which lie 4 (quantised) or 1 element at a time across its panel.

#include "Kernels.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

using ::llmir::kPanelRows;
using ::llmir::PackedFormat;
using ::llmir::PackedLayout;

namespace {
class EmbeddingEmitter {
public:
  EmbeddingEmitter(KernelBuilder &builder, const EmbeddingKernel &kernel, ValueRange arguments)
      : b(builder), layout(kernel.layout), begin(arguments[0]), end(arguments[1]),
        tokens(arguments[2]), weights(arguments[3]), weightOffset(arguments[4]),
        output(arguments[5]) {}

  void emit() {
    b.loop(begin, end, 1, [&](Value token) {
      Value id = b.toIndex(b.load(tokens, token));
      Value panel = b.mul(b.div(id, b.index(kPanelRows)), b.index(layout.panelBytes()));
      panel = b.add(weightOffset, panel);
      Value row = b.rem(id, b.index(kPanelRows));
      if (layout.isQuantized())
        emitQuantized(token, panel, row);
      else
        emitPlain(token, panel, row);
    });
  }

private:
  void emitPlain(Value token, Value panel, Value row) {
    Type element = layout.format == PackedFormat::F32   ? Type(b.getF32Type())
                   : layout.format == PackedFormat::F16 ? Type(b.getF16Type())
                                                        : Type(b.getBF16Type());
    int64_t perRow = layout.elementOffset(1, 0);
    Value first = b.add(panel, b.mul(row, b.index(perRow)));
    // Pairs of k lie at a constant distance in every plain format.
    auto copy = [&](Value k, int64_t ofPair) {
      Value offset = b.add(first, b.mul(k, b.index(layout.elementOffset(0, 2) / 2)));
      offset = b.add(offset, b.index(layout.elementOffset(0, ofPair)));
      Value value = b.extend(b.loadBytes(weights, offset, element, 1));
      b.storeVector(value, output, {token, b.add(k, b.index(ofPair))});
    };
    int64_t even = layout.cols / 2 * 2;
    b.loop(b.index(0), b.index(even), 2, [&](Value k) {
      copy(k, 0);
      copy(k, 1);
    });
    if (even < layout.cols)
      copy(b.index(even), 0);
  }

  void emitQuantized(Value token, Value panel, Value row) {
    int64_t perBlock = layout.groupsPerBlock();
    b.loop(b.index(0), b.index(layout.groups()), 1, [&](Value group) {
      Value block = b.mul(b.div(group, b.index(perBlock)), b.index(layout.blockBytes()));
      block = b.add(panel, block);
      Value inBlock = b.rem(group, b.index(perBlock));
      Value scaleOffset = b.add(block, b.add(b.mul(inBlock, b.index(32)), b.mul(row, b.index(2))));
      Value scale = loadHalf(scaleOffset);
      Value minimum = layout.hasMinimum() ? loadHalf(b.add(scaleOffset, b.index(32))) : Value();
      Value codes = b.add(block, b.add(b.index(64), b.mul(inBlock, b.index(layout.codeBytes()))));
      codes = b.add(codes, b.mul(row, b.index(4)));
      Value firstK = b.mul(group, b.index(layout.groupSize));
      for (int64_t vector = 0; vector < layout.codeBytes() / 64; ++vector) {
        Value offset = b.add(codes, b.index(vector * 64));
        emitFour(token, offset, b.add(firstK, b.index((layout.isFourBit() ? 8 : 4) * vector)),
                 scale, minimum);
      }
    });
  }

  /// The four bytes at `offset`: four codes, or eight in their nibbles.
  void emitFour(Value token, Value offset, Value k, Value scale, Value minimum) {
    VectorType ints = b.vectorOf(b.getI32Type(), 4);
    Value bytes = b.loadBytes(weights, offset, b.getI8Type(), 4);
    auto dequantize = [&](Value codes, Value firstK) {
      Value value = arith::SIToFPOp::create(b, b.vectorOf(b.getF32Type(), 4), codes);
      if (layout.format == PackedFormat::Q4_0)
        value = b.sub(value, b.splatF32(8.0, 4));
      value = minimum ? b.fma(scale, value, minimum) : b.mul(scale, value);
      b.storeVector(value, output, {token, firstK});
    };
    if (!layout.isFourBit())
      return dequantize(arith::ExtSIOp::create(b, ints, bytes), k);
    Value wide = arith::ExtUIOp::create(b, ints, bytes);
    dequantize(arith::AndIOp::create(b, wide, b.splatInt(15, ints)), k);
    dequantize(arith::ShRUIOp::create(b, wide, b.splatInt(4, ints)), b.add(k, b.index(4)));
  }

  Value loadHalf(Value offset) {
    Value half = b.extend(b.loadBytes(weights, offset, b.getF16Type(), 1));
    return b.broadcast(vector::ExtractOp::create(b, half, 0), 4);
  }

  KernelBuilder &b;
  const PackedLayout &layout;
  Value begin, end, tokens, weights, weightOffset, output;
};
} // namespace

func::FuncOp getKernel(KernelLibrary &library, const EmbeddingKernel &kernel) {
  Type ints = library.vectorType(IntegerType::get(library.context(), 32));
  Type index = library.indexType();
  std::string name = "embedding_" + std::to_string(kernel.layout.rows) + "x" +
                     std::to_string(kernel.layout.cols) + "_" +
                     std::to_string(static_cast<int>(kernel.layout.format));
  if (kernel.layout.groupSize != ::llmir::kGroupSize)
    name += "_group" + std::to_string(kernel.layout.groupSize);
  return library.getOrCreate(name, {index, index, ints, library.bytesType(), index, kernel.output},
                             [&](KernelBuilder &builder, ValueRange arguments) {
                               EmbeddingEmitter(builder, kernel, arguments).emit();
                             });
}

} // namespace mlir::llm
