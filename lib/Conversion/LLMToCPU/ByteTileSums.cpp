// Sums of int8 products by AMX tiles, for eight tokens and more; fewer go by byte dots. A group's
// sums are exact, so that both give the same bytes. The quads of 16 rows of a group's eight-bit
// codes are the right operand as they lie; four-bit codes are unpacked, signed, for each product of
// 16 tokens, which costs 24 or 48 instructions to the 64 that scale the group's sums.
//
// Floor, a group, 16 rows, 16 tokens: a tile product of 16 cycles for each 64 k (or a group of 32);
// and 16 times a load that converts, a multiplication and an fma with loads, so 24 cycles at two
// vector instructions a cycle. Scaling is what groups of 32 cost; groups of 128 have it once for
// two products.

#include "MatrixSums.h"
#include "TileUnit.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

using ::llmir::PackedFormat;

namespace {
class ByteTileSums : public SumEmitter {
public:
  ByteTileSums(KernelBuilder &builder, KernelLibrary &library, const LinearKernel &kernel,
               const SumOperands &operands)
      : SumEmitter(builder, library, kernel, operands),
        dots(createIntegerSums(builder, library, kernel, operands)) {}

  SmallVector<int64_t> tokenCounts() const override { return {16, 8, 4, 2, 1}; }
  int64_t vectorsAtOnce(int64_t tokens) const override {
    return needsFunction(tokens) ? 1 : dots->vectorsAtOnce(tokens);
  }
  bool needsFunction(int64_t tokens) const override { return tokens >= 8; }

  SmallVector<Value> emit(const Part &part) override {
    if (!needsFunction(part.tokens))
      return dots->emit(part);
    TileSums tile(b, library, b.getI32Type(), part.tokens, target.emulatesByteTiles);
    Value unpacked;
    if (layout.isFourBit()) {
      Value rows = allocateRows(b, b.getI8Type(), quads(), 64);
      unpacked = memref::CollapseShapeOp::create(b, rows, ArrayRef<ReassociationIndices>{{0, 1}});
      unpacked = memref::CastOp::create(b, library.bytesType(), unpacked);
    }
    scaleRows = takeRows(b, operands.scales, part.token, part.tokens);
    SmallVector<Value> zeros(part.tokens, b.splatF32(0.0, lanes));
    return emitBlocks(part.panel, zeros,
                      [&](Value block, int64_t inBlock, Value group, SmallVector<Value> &sums) {
                        Value codes = at(block, 64 + inBlock * layout.codeBytes());
                        Value k = b.mul(group, b.index(layout.groupSize));
                        tile.setZero();
                        for (int64_t quad = 0; quad < layout.groupSize / 4; quad += quads()) {
                          Value right = operands.weights;
                          Value offset = at(codes, quad * (layout.isFourBit() ? 32 : 64));
                          if (unpacked) {
                            unpack(offset, unpacked);
                            right = unpacked, offset = b.index(0);
                          }
                          tile.multiply(operands.input, part.token, at(k, 4 * quad), right, offset,
                                        quads());
                        }
                        tile.store();
                        addGroup(part, block, inBlock, group, tile, sums);
                      });
  }

private:
  /// Along k, of one product: 32 elements of a group of so many, or 64.
  int64_t quads() const { return std::min<int64_t>(layout.groupSize / 4, 16); }

  /// Codes of one product as signed bytes, rows of quads. Codes of q4_0 lose their 8 here.
  void unpack(Value codes, Value unpacked) {
    VectorType bytes = b.vectorOf(b.getI8Type(), 64), ints = b.vectorOf(b.getI32Type(), lanes);
    for (int64_t vector = 0; vector < quads() / 2; ++vector) {
      Value both = b.loadBytes(operands.weights, at(codes, vector * 64), b.getI32Type(), lanes);
      Value high = arith::ShRUIOp::create(b, both, b.splatInt(4, ints));
      for (auto [index, nibbles] : llvm::enumerate(std::array{both, high})) {
        Value code = arith::AndIOp::create(b, b.bitcast(nibbles, bytes), b.splatInt(0x0f, bytes));
        if (layout.format == PackedFormat::Q4_0)
          code = b.sub(code, b.splatInt(8, bytes));
        int64_t row = 2 * vector + static_cast<int64_t>(index);
        b.storeBytes(code, unpacked, b.index(row * 64));
      }
    }
  }

  void addGroup(const Part &part, Value block, int64_t inBlock, Value group, TileSums &tile,
                SmallVector<Value> &sums) {
    Value weightScale = loadHalves(at(block, inBlock * 32));
    Value minimum = layout.hasMinimum() ? loadHalves(at(block, inBlock * 32 + 32)) : Value();
    for (int64_t token = 0; token < part.tokens; ++token)
      sums[token] = addScaled(sums[token], tile.load(token), weightScale, minimum, scaleRows,
                              b.index(token), group);
  }

  std::unique_ptr<SumEmitter> dots;
  Value scaleRows; ///< Of the part's tokens.
};
} // namespace

std::unique_ptr<SumEmitter> createByteTileSums(KernelBuilder &builder, KernelLibrary &library,
                                               const LinearKernel &kernel,
                                               const SumOperands &operands) {
  return std::make_unique<ByteTileSums>(builder, library, kernel, operands);
}

} // namespace mlir::llm
