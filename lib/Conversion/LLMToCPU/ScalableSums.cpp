// Sums of int8 products on SVE vectors, whose length the code does not know: the same sums as
// IntegerSums, of as many rows of a panel at a time as a vector has lanes. A row's sum is in one
// lane, so that its bytes do not depend on the length. Sums leave by memory, since the epilogue has
// vectors of 128 bits. Vectors longer than a panel are masked.
//
// Floor of many tokens, a group of 32 k, a vector of rows, a token: 8 sdot and 3 instructions that
// scale; what a vector of codes costs to load and unpack serves all tokens.

#include "DotProduct.h"
#include "MatrixSums.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

using ::llmir::kGroupSize;
using ::llmir::kPanelRows;
using ::llmir::PackedFormat;

namespace {
class ScalableSums : public SumEmitter {
public:
  ScalableSums(KernelBuilder &builder, KernelLibrary &library, const LinearKernel &kernel,
               const SumOperands &operands)
      : SumEmitter(builder, library, kernel, operands), bytes(scalable(b.getI8Type(), 16)),
        ints(scalable(b.getI32Type(), 4)), floats(scalable(b.getF32Type(), 4)) {}

  SmallVector<int64_t> tokenCounts() const override { return {8, 4, 2, 1}; }
  int64_t vectorsAtOnce(int64_t /*tokens*/) const override { return kPanelRows / lanes; }

  SmallVector<Value> emit(const Part &part) override {
    Value results = emitStackMemory(part.tokens);
    Value step = b.mul(vector::VectorScaleOp::create(b), b.index(4));
    b.loop(b.index(0), b.index(kPanelRows), step, [&](Value row) {
      rows = emitRows(row);
      SmallVector<Value> zeros(part.tokens, splat(b.f32(0.0)));
      SmallVector<Value> sums =
          emitBlocks(part.panel, zeros,
                     [&](Value block, int64_t inBlock, Value group, SmallVector<Value> &carried) {
                       addGroup(part, block, inBlock, group, carried);
                     });
      for (int64_t token = 0; token < part.tokens; ++token)
        vector::MaskedStoreOp::create(b, results, ValueRange{b.index(token), row}, rows.mask,
                                      sums[token]);
    });
    SmallVector<Value> vectors;
    for (int64_t half = 0; half < part.halves; ++half)
      for (int64_t token = 0; token < part.tokens; ++token)
        vectors.push_back(b.loadVector(results, {b.index(token), b.index(half * lanes)}, lanes));
    return vectors;
  }

private:
  /// Rows of a panel from `first` on, as many as a vector has lanes.
  struct Rows {
    Value first, firstByte;
    Value mask, byteMask; ///< What lies inside the panel.
  };

  VectorType scalable(Type element, int64_t lanesOf128Bits) {
    return VectorType::get({lanesOf128Bits}, element, {true});
  }
  Value splat(Value scalar) {
    return vector::BroadcastOp::create(b, scalable(scalar.getType(), 4), scalar);
  }
  Value splatByte(int64_t value) {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(bytes, b.getI8IntegerAttr(static_cast<int8_t>(value))));
  }

  Rows emitRows(Value first) {
    Value count = b.sub(b.index(kPanelRows), first);
    auto mask = [&](Value lanes, int64_t lanesOf128Bits) {
      VectorType type = scalable(b.getI1Type(), lanesOf128Bits);
      return vector::CreateMaskOp::create(b, type, lanes).getResult();
    };
    return {first, b.mul(first, b.index(4)), mask(count, 4), mask(b.mul(count, b.index(4)), 16)};
  }

  /// Memory of the function, [tokens][rows of a panel].
  Value emitStackMemory(int64_t tokens) {
    OpBuilder::InsertionGuard guard(b);
    auto function = b.getInsertionBlock()->getParent()->getParentOfType<func::FuncOp>();
    b.setInsertionPointToStart(&function.front());
    auto type = MemRefType::get({tokens, kPanelRows}, b.getF32Type());
    return memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
  }

  /// Codes of the rows from a panel's vector of 64 bytes at `offset`.
  Value loadCodes(Value offset) {
    return vector::MaskedLoadOp::create(b, bytes, operands.weights,
                                        ValueRange{b.add(offset, rows.firstByte)}, rows.byteMask,
                                        splatByte(0));
  }

  /// The rows' f16 scales of the 16 at `offset`, as f32.
  Value loadScales(Value offset) {
    auto type = MemRefType::get({kPanelRows}, b.getF16Type());
    Value scales = memref::ViewOp::create(b, type, operands.weights, offset, ValueRange{});
    VectorType halves = scalable(b.getF16Type(), 4);
    Value zero = arith::ConstantOp::create(b, b.getFloatAttr(b.getF16Type(), 0.0));
    Value loaded = vector::MaskedLoadOp::create(b, halves, scales, ValueRange{rows.first},
                                                rows.mask, splat(zero));
    return arith::ExtFOp::create(b, floats, loaded);
  }

  /// The codes of eight quads.
  SmallVector<Value> loadQuads(Value offset) {
    SmallVector<Value> quads;
    for (int64_t vector = 0; vector < (layout.isFourBit() ? 4 : 8); ++vector) {
      Value codes = loadCodes(at(offset, vector * 64));
      if (!layout.isFourBit()) {
        quads.push_back(codes);
        continue;
      }
      quads.push_back(arith::AndIOp::create(b, codes, splatByte(15)));
      quads.push_back(arith::ShRUIOp::create(b, codes, splatByte(4)));
    }
    return quads;
  }

  /// `sums` plus the products of 32 codes of each row from `codes` on, and of each token from
  /// `firstK` on.
  SmallVector<Value> addRun(const Part &part, Value codes, Value firstK, ValueRange sums) {
    SmallVector<Value> quads = loadQuads(codes), results(sums);
    for (int64_t token = 0; token < part.tokens; ++token)
      for (auto [quad, ofRows] : llvm::enumerate(quads)) {
        Value k = at(firstK, 4 * static_cast<int64_t>(quad));
        Value four = b.loadVector(operands.input, {at(part.token, token), k}, 4);
        Value word = b.firstLane(b.bitcast(four, b.vectorOf(b.getI32Type(), 1)));
        results[token] = b.intrinsic("llvm.aarch64.sve.sdot.nxv4i32", ints,
                                     {results[token], ofRows, b.bitcast(splat(word), bytes)});
      }
    return results;
  }

  /// The integer dot products of one group, whose first code is at `codes`.
  SmallVector<Value> emitGroup(const Part &part, Value codes, Value group) {
    int64_t bias = groupBias(layout.format, target), runs = layout.groupSize / kGroupSize;
    SmallVector<Value> sums;
    for (int64_t token = 0; token < part.tokens; ++token) {
      Value sum = b.i32(0);
      if (bias)
        sum = b.mul(b.load(operands.sums, {at(part.token, token), group}), b.i32(-bias));
      sums.push_back(splat(sum));
    }
    Value firstK = b.mul(group, b.index(layout.groupSize));
    if (runs == 1)
      return addRun(part, codes, firstK, sums);
    return b.loop(b.index(0), b.index(runs), 1, sums, [&](Value run, ValueRange carried) {
      Value offset = b.add(codes, b.mul(run, b.index(layout.codeBytes() / runs)));
      return addRun(part, offset, b.add(firstK, b.mul(run, b.index(kGroupSize))), carried);
    });
  }

  void addGroup(const Part &part, Value block, int64_t inBlock, Value group,
                SmallVector<Value> &accumulators) {
    SmallVector<Value> dots = emitGroup(part, at(block, 64 + inBlock * layout.codeBytes()), group);
    Value weightScale = loadScales(at(block, inBlock * 32));
    Value minimum = layout.hasMinimum() ? loadScales(at(block, inBlock * 32 + 32)) : Value();
    for (int64_t token = 0; token < part.tokens; ++token) {
      Value row = at(part.token, token), &sum = accumulators[token];
      Value dot = arith::SIToFPOp::create(b, floats, dots[token]);
      auto scale = [&](Value column) { return splat(b.load(operands.scales, {row, column})); };
      sum = b.fma(weightScale, b.mul(dot, scale(group)), sum);
      if (minimum)
        sum = b.fma(minimum, scale(b.add(group, b.index(layout.groups()))), sum);
    }
  }

  VectorType bytes, ints, floats;
  Rows rows;
};
} // namespace

std::unique_ptr<SumEmitter> createScalableSums(KernelBuilder &builder, KernelLibrary &library,
                                               const LinearKernel &kernel,
                                               const SumOperands &operands) {
  return std::make_unique<ScalableSums>(builder, library, kernel, operands);
}

} // namespace mlir::llm
