// Sums of pairs of bf16 by vdpbf16ps, for weights and activations that are bf16 in memory. Each
// instruction adds the product of its pair's second elements, then of its first, to f32, flushing
// what is below the least normal number. Even and odd pairs are summed in two chains, which are
// added at the end; the pair of an odd last k has a zero.
//
// Floor, one token: two bytes a weight over the bandwidth. Many: an instruction for 32 products of
// a vector of 16 rows, which loads its activations itself, so two loads for one multiplication.

#include "EmulatedUnits.h"
#include "MatrixSums.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

namespace {
class PairSums : public SumEmitter {
public:
  using SumEmitter::SumEmitter;

  SmallVector<int64_t> tokenCounts() const override {
    if (target.registers >= 32 && lanes == ::llmir::kPanelRows)
      return {12, 8, 4, 2, 1};
    return {4, 3, 2, 1};
  }

  SmallVector<Value> emit(const Part &part) override {
    int64_t count = part.halves * part.tokens, pairs = (layout.cols + 1) / 2;
    int64_t even = pairs / kChains * kChains;
    rows = takeRows(b, operands.input, part.token, part.tokens);
    SmallVector<Value> sums(kChains * count, b.splatF32(0.0, lanes));
    sums = b.loop(b.index(0), b.index(even), kChains, sums, [&](Value pair, ValueRange carried) {
      SmallVector<Value> all(carried);
      for (int64_t chain = 0; chain < kChains; ++chain)
        addPair(part, at(pair, chain), MutableArrayRef(all).slice(chain * count, count));
      return all;
    });
    if (even < pairs)
      addPair(part, b.index(even), MutableArrayRef(sums).take_front(count));
    return addChains(sums);
  }

private:
  static constexpr int64_t kChains = 2;
  Value rows; ///< Of the part's tokens.

  void addPair(const Part &part, Value pair, MutableArrayRef<Value> sums) {
    Value bytes = b.mul(pair, b.index(layout.elementOffset(0, 2)));
    Value k = b.mul(pair, b.index(2));
    for (int64_t i = 0; i < part.halves; ++i) {
      int64_t row = (part.firstHalf + i) * lanes;
      Value offset = b.add(at(part.panel, layout.elementOffset(row, 0)), bytes);
      Value weights = b.loadBytes(operands.weights, offset, b.getI32Type(), lanes);
      for (int64_t token = 0; token < part.tokens; ++token) {
        Value two = b.loadVector(rows, {b.index(token), k}, 2);
        Value word = b.bitcast(two, b.vectorOf(b.getI32Type(), 1));
        Value activations = b.broadcast(vector::ExtractOp::create(b, word, 0), lanes);
        Value &sum = sums[i * part.tokens + token];
        sum = multiply(sum, weights, activations);
      }
    }
  }

  Value multiply(Value sums, Value left, Value right) {
    if (target.emulatesPairs)
      return emulatePairDots(b, library, sums, left, right);
    VectorType pairs = b.vectorOf(b.getBF16Type(), 2 * lanes);
    std::string name = "llvm.x86.avx512bf16.dpbf16ps." + std::to_string(32 * lanes);
    return b.intrinsic(name, sums.getType(),
                       {sums, b.bitcast(left, pairs), b.bitcast(right, pairs)});
  }
};
} // namespace

std::unique_ptr<SumEmitter> createPairSums(KernelBuilder &builder, KernelLibrary &library,
                                           const LinearKernel &kernel,
                                           const SumOperands &operands) {
  return std::make_unique<PairSums>(builder, library, kernel, operands);
}

} // namespace mlir::llm
