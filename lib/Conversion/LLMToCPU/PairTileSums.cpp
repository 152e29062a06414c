// Sums of pairs of bf16 by AMX tiles. Every number of tokens takes the tile, one token too, so that
// its order of summation is the same: 32 k (the last ones: what is left) in one instruction, one
// after the other. 16 pairs of 16 rows, 1 KiB of a panel as it lies, are the right operand.
//
// Floor, one token: two bytes a weight over the bandwidth. 32 tokens: two tile products for three
// tile loads, 16 cycles and 8 cycles each.

#include "MatrixSums.h"
#include "TileUnit.h"

namespace mlir::llm {

namespace {
class PairTileSums : public SumEmitter {
public:
  using SumEmitter::SumEmitter;

  SmallVector<int64_t> tokenCounts() const override { return {32, 16, 8, 4, 2, 1}; }
  int64_t vectorsAtOnce(int64_t) const override { return 1; }
  bool needsFunction(int64_t) const override { return true; }

  SmallVector<Value> emit(const Part &part) override {
    int64_t pairs = (layout.cols + 1) / 2, whole = pairs / kPairs;
    TileSums sums(b, library, b.getF32Type(), part.tokens, target.emulatesPairs);
    sums.setZero();
    auto multiply = [&](Value step, int64_t count) {
      Value column = b.mul(step, b.index(2 * kPairs));
      Value offset = b.add(part.panel, b.mul(step, b.index(kPairs * 64)));
      sums.multiply(operands.input, part.token, column, operands.weights, offset, count);
    };
    sums.loop(whole, [&](Value step) { multiply(step, kPairs); });
    if (pairs % kPairs != 0)
      multiply(b.index(whole), pairs % kPairs);
    sums.store();
    SmallVector<Value> results;
    for (int64_t token = 0; token < part.tokens; ++token)
      results.push_back(sums.load(token));
    return results;
  }

private:
  static constexpr int64_t kPairs = 16; ///< Of one instruction.
};
} // namespace

std::unique_ptr<SumEmitter> createPairTileSums(KernelBuilder &builder, KernelLibrary &library,
                                               const LinearKernel &kernel,
                                               const SumOperands &operands) {
  return std::make_unique<PairTileSums>(builder, library, kernel, operands);
}

} // namespace mlir::llm
