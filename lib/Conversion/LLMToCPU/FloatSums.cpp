// Sums by fma of f32, in two chains (even and odd k) that are added at the end. Quantised weights
// are decoded as the checkpoint defines them. Floor of many tokens: an fma for each k, vector of
// rows and token.

#include "MatrixSums.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

using ::llmir::kGroupSize;
using ::llmir::PackedFormat;

namespace {
class FloatSums : public SumEmitter {
public:
  using SumEmitter::SumEmitter;

  SmallVector<int64_t> tokenCounts() const override {
    // Two sums a token. Codes are unrolled by group, so more tokens would be much code.
    if (target.registers >= 32 && lanes == ::llmir::kPanelRows && !layout.isQuantized())
      return {12, 8, 4, 2, 1};
    return {4, 3, 2, 1};
  }

  SmallVector<Value> emit(const Part &part) override {
    int64_t count = part.halves * part.tokens;
    rows = takeRows(b, operands.input, part.token, part.tokens);
    SmallVector<Value> sums(kChains * count, b.splatF32(0.0, lanes));
    if (layout.isQuantized()) {
      sums = emitBlocks(part.panel, sums,
                        [&](Value block, int64_t inBlock, Value group, SmallVector<Value> &all) {
                          addFloatGroup(part, block, inBlock, group, all);
                        });
    } else {
      int64_t even = layout.cols / 2 * 2;
      sums = b.loop(b.index(0), b.index(even), 2, sums, [&](Value k, ValueRange carried) {
        SmallVector<Value> all(carried);
        addPlainPair(part, k, 2, all);
        return all;
      });
      if (even < layout.cols)
        addPlainPair(part, b.index(even), 1, sums);
    }
    return addChains(sums);
  }

private:
  static constexpr int64_t kChains = 2;
  Value rows; ///< Of the part's tokens.

  void addProducts(const Part &part, int64_t half, Value weight, Value k, int64_t parity,
                   SmallVector<Value> &accumulators) {
    for (int64_t token = 0; token < part.tokens; ++token) {
      Value x = b.loadBroadcast(rows, {b.index(token), k}, lanes);
      Value &sum = accumulators[(parity * part.halves + half) * part.tokens + token];
      sum = b.fma(weight, x, sum);
    }
  }

  /// Dequantises one group and multiplies it, 32 codes after 32: w = d * c (+ m) as the checkpoint
  /// defines it.
  void addFloatGroup(const Part &part, Value block, int64_t inBlock, Value group,
                     SmallVector<Value> &accumulators) {
    Value codes = at(block, 64 + inBlock * layout.codeBytes());
    Value firstK = b.mul(group, b.index(layout.groupSize));
    SmallVector<Value> scales, minima;
    for (int64_t i = 0; i < part.halves; ++i) {
      Value offset = at(block, inBlock * 32 + (part.firstHalf + i) * lanes * 2);
      scales.push_back(loadHalves(offset));
      minima.push_back(layout.hasMinimum() ? loadHalves(at(offset, 32)) : Value());
    }
    int64_t runs = layout.groupSize / kGroupSize;
    if (runs == 1)
      return addRun(part, codes, firstK, scales, minima, accumulators);
    accumulators =
        b.loop(b.index(0), b.index(runs), 1, accumulators, [&](Value run, ValueRange carried) {
          SmallVector<Value> all(carried);
          addRun(part, b.add(codes, b.mul(run, b.index(layout.codeBytes() / runs))),
                 b.add(firstK, b.mul(run, b.index(kGroupSize))), scales, minima, all);
          return all;
        });
  }

  /// 32 codes from `codes` on.
  void addRun(const Part &part, Value codes, Value firstK, ArrayRef<Value> scales,
              ArrayRef<Value> minima, SmallVector<Value> &accumulators) {
    VectorType ints = b.vectorOf(b.getI32Type(), lanes);
    VectorType floats = b.vectorOf(b.getF32Type(), lanes);
    for (int64_t i = 0; i < part.halves; ++i) {
      int64_t half = part.firstHalf + i;
      auto addCode = [&](Value code, int64_t k) {
        Value weight = arith::SIToFPOp::create(b, floats, code);
        if (layout.format == PackedFormat::Q4_0)
          weight = b.sub(weight, b.splatF32(8.0, lanes));
        weight = minima[i] ? b.fma(scales[i], weight, minima[i]) : b.mul(scales[i], weight);
        addProducts(part, i, weight, at(firstK, k), k % kChains, accumulators);
      };
      for (int64_t vector = 0; vector < (layout.isFourBit() ? 4 : 8); ++vector) {
        Value offset = at(codes, vector * 64 + half * lanes * 4);
        Value raw = b.loadBytes(operands.weights, offset, b.getI32Type(), lanes);
        auto field = [&](int64_t shift, int64_t bits) -> Value {
          Value up = arith::ShLIOp::create(b, raw, b.splatInt(32 - bits - shift, ints));
          if (layout.isFourBit())
            return arith::ShRUIOp::create(b, up, b.splatInt(32 - bits, ints));
          return arith::ShRSIOp::create(b, up, b.splatInt(32 - bits, ints));
        };
        for (int64_t byte = 0; byte < 4; ++byte) {
          if (layout.isFourBit()) {
            addCode(field(8 * byte, 4), 8 * vector + byte);
            addCode(field(8 * byte + 4, 4), 8 * vector + 4 + byte);
          } else {
            addCode(field(8 * byte, 8), 4 * vector + byte);
          }
        }
      }
    }
  }

  /// Two successive k of a plain panel; `count` of them exist.
  void addPlainPair(const Part &part, Value k, int64_t count, SmallVector<Value> &accumulators) {
    for (int64_t i = 0; i < part.halves; ++i) {
      int64_t row = (part.firstHalf + i) * lanes;
      Value bytes = b.mul(k, b.index(layout.elementOffset(0, 2) / 2));
      auto load = [&](int64_t ofPair) -> Value {
        Value offset = b.add(at(part.panel, layout.elementOffset(row, ofPair)), bytes);
        Type element = layout.format == PackedFormat::F32 ? Type(b.getF32Type()) : b.getF16Type();
        return b.extend(b.loadBytes(operands.weights, offset, element, lanes));
      };
      Value pair[2];
      if (layout.format == PackedFormat::BF16) {
        VectorType ints = b.vectorOf(b.getI32Type(), lanes);
        VectorType floats = b.vectorOf(b.getF32Type(), lanes);
        Value offset = b.add(at(part.panel, layout.elementOffset(row, 0)), bytes);
        Value raw = b.loadBytes(operands.weights, offset, b.getI32Type(), lanes);
        Value low = arith::ShLIOp::create(b, raw, b.splatInt(16, ints));
        Value high = arith::AndIOp::create(b, raw, b.splatInt(-65536, ints));
        pair[0] = b.bitcast(low, floats);
        pair[1] = b.bitcast(high, floats);
      } else {
        for (int64_t of = 0; of < count; ++of)
          pair[of] = load(of);
      }
      for (int64_t of = 0; of < count; ++of)
        addProducts(part, i, pair[of], at(k, of), of, accumulators);
    }
  }
};
} // namespace

std::unique_ptr<SumEmitter> createFloatSums(KernelBuilder &builder, KernelLibrary &library,
                                            const LinearKernel &kernel,
                                            const SumOperands &operands) {
  return std::make_unique<FloatSums>(builder, library, kernel, operands);
}

} // namespace mlir::llm
