// Sums of int8 products. A group's codes meet the tokens' codes exactly, in 32 bits; the result is
// scaled by both scales and added by fma, group by group, for any number of tokens.
//
// Floor of many tokens, a group of 32 k, a vector of rows, a token: 8 byte multiplies (AVX2: 8 or
// 16, and as many adds), and 4 instructions that scale.

#include "DotProduct.h"
#include "MatrixSums.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

using ::llmir::kGroupSize;

namespace {
class IntegerSums : public SumEmitter {
public:
  using SumEmitter::SumEmitter;

  SmallVector<int64_t> tokenCounts() const override {
    // A token has an integer and a float sum; what is left holds codes, scales and a temporary.
    if (target.registers >= 32 && lanes == ::llmir::kPanelRows)
      return {12, 8, 4, 2, 1};
    return {4, 3, 2, 1};
  }

  SmallVector<Value> emit(const Part &part) override {
    SmallVector<Value> zeros(part.halves * part.tokens, b.splatF32(0.0, lanes));
    return emitBlocks(part.panel, zeros,
                      [&](Value block, int64_t inBlock, Value group, SmallVector<Value> &carried) {
                        addGroup(part, block, inBlock, group, carried);
                      });
  }

private:
  /// The integer dot product of one group, scaled and added to `accumulators`.
  void addGroup(const Part &part, Value block, int64_t inBlock, Value group,
                SmallVector<Value> &accumulators) {
    int64_t scale = inBlock * 32;
    int64_t codes = 64 + inBlock * layout.codeBytes();
    VectorType bytes = b.vectorOf(b.getI8Type(), 4 * lanes);
    auto activation = [&](int64_t token, int64_t quad) -> Value {
      Value k = b.add(b.mul(group, b.index(kGroupSize)), b.index(4 * quad));
      Value four = b.loadVector(operands.input, {at(part.token, token), k}, 4);
      Value word = b.bitcast(four, b.vectorOf(b.getI32Type(), 1));
      return b.bitcast(b.broadcast(vector::ExtractOp::create(b, word, 0), lanes), bytes);
    };
    auto activationSum = [&](int64_t token) -> Value {
      return b.load(operands.sums, {at(part.token, token), group});
    };
    Value scaledSum = b.add(group, b.index(layout.groups()));
    for (int64_t i = 0; i < part.halves; ++i) {
      int64_t half = part.firstHalf + i;
      GroupDot dot{layout.format, operands.weights, at(block, codes + half * lanes * 4),
                   part.tokens,   activation,       activationSum};
      SmallVector<Value> dots = emitGroupDot(b, library, dot);
      Value weightScale = loadHalves(at(block, scale + half * lanes * 2));
      Value minimum =
          layout.hasMinimum() ? loadHalves(at(block, scale + 32 + half * lanes * 2)) : Value();
      for (int64_t token = 0; token < part.tokens; ++token) {
        Value &sum = accumulators[i * part.tokens + token];
        Value dotFloat = arith::SIToFPOp::create(b, b.vectorOf(b.getF32Type(), lanes), dots[token]);
        Value row = at(part.token, token);
        Value scaled = b.mul(dotFloat, b.loadBroadcast(operands.scales, {row, group}, lanes));
        sum = b.fma(weightScale, scaled, sum);
        if (minimum)
          sum = b.fma(minimum, b.loadBroadcast(operands.scales, {row, scaledSum}, lanes), sum);
      }
    }
  }
};
} // namespace

std::unique_ptr<SumEmitter> createIntegerSums(KernelBuilder &builder, KernelLibrary &library,
                                              const LinearKernel &kernel,
                                              const SumOperands &operands) {
  return std::make_unique<IntegerSums>(builder, library, kernel, operands);
}

} // namespace mlir::llm
