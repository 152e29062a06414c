// Sums of int8 products. A group's codes meet the tokens' codes exactly, in 32 bits; the result is
// scaled by both scales and added by fma, group by group, for any number of tokens.
//
// Floor of many tokens, a group of 32 k, a vector of rows, a token: 8 byte multiplies (AVX2: 8 or
// 16, and as many adds), and 4 instructions that scale.

#include "DotProduct.h"
#include "MatrixSums.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
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
    // Without sdot the multiplications are the limit, whoever else meets the codes.
    if (target.dotUnit == DotUnit::NEON)
      return {2, 1};
    if (isAArch64(target.dotUnit))
      return {4, 2, 1};
    return {4, 3, 2, 1};
  }

  int64_t vectorsAtOnce(int64_t tokens) const override {
    // A group's activations of four tokens are 8 registers; as many hold float sums.
    if (isAArch64(target.dotUnit) && tokens == 4)
      return 2;
    return SumEmitter::vectorsAtOnce(tokens);
  }

  SmallVector<Value> emit(const Part &part) override {
    SmallVector<Value> zeros(part.halves * part.tokens, b.splatF32(0.0, lanes));
    codeRows = takeRows(b, operands.input, part.token, part.tokens);
    scaleRows = takeRows(b, operands.scales, part.token, part.tokens);
    sumRows = takeRows(b, operands.sums, part.token, part.tokens);
    return emitBlocks(part.panel, zeros,
                      [&](Value block, int64_t inBlock, Value group, SmallVector<Value> &carried) {
                        addGroup(part, block, inBlock, group, carried);
                      });
  }

private:
  /// The integer dot products of one group, whose first code is at `codes`: 32 codes after 32.
  SmallVector<Value> emitGroup(const Part &part, Value codes, Value group) {
    Value firstK = b.mul(group, b.index(layout.groupSize));
    auto sumOf = [&](int64_t token) -> Value { return b.load(sumRows, {b.index(token), group}); };
    int64_t runs = layout.groupSize / kGroupSize;
    if (runs == 1)
      return emitRun(part, codes, firstK, sumOf);
    VectorType ints = b.vectorOf(b.getI32Type(), lanes);
    SmallVector<Value> zeros(part.tokens, b.splatInt(0, ints));
    auto addRun = [&](Value run, ValueRange carried) {
      Value offset = b.add(codes, b.mul(run, b.index(layout.codeBytes() / runs)));
      Value k = b.add(firstK, b.mul(run, b.index(kGroupSize)));
      SmallVector<Value> dots = emitRun(part, offset, k, [&](int64_t) { return b.i32(0); });
      for (auto [dot, sum] : llvm::zip_equal(dots, carried))
        dot = b.add(dot, sum);
      return dots;
    };
    SmallVector<Value> dots = b.loop(b.index(0), b.index(runs), 1, zeros, addRun);
    if (int64_t bias = groupBias(layout.format, target))
      for (auto [token, dot] : llvm::enumerate(dots)) {
        Value term = b.mul(sumOf(static_cast<int64_t>(token)), b.i32(-bias));
        dot = b.add(dot, b.broadcast(term, lanes));
      }
    return dots;
  }

  /// 32 codes of each row from `codes` on, and of each token from `firstK` on.
  SmallVector<Value> emitRun(const Part &part, Value codes, Value firstK,
                             llvm::function_ref<Value(int64_t token)> activationSum) {
    VectorType bytes = b.vectorOf(b.getI8Type(), 4 * lanes);
    auto activation = [&](int64_t token, int64_t quad) -> Value {
      Value four = b.loadVector(codeRows, {b.index(token), at(firstK, 4 * quad)}, 4);
      Value word = b.bitcast(four, b.vectorOf(b.getI32Type(), 1));
      return b.bitcast(b.broadcast(vector::ExtractOp::create(b, word, 0), lanes), bytes);
    };
    auto activationHalf = [&](int64_t token, int64_t half) -> Value {
      return b.loadVector(operands.input, {at(part.token, token), at(firstK, 16 * half)}, 16);
    };
    GroupDot dot{layout.format, operands.weights, codes,        part.tokens,
                 activation,    activationHalf,   activationSum};
    return emitGroupDot(b, library, dot);
  }

  /// Fetches this pass's share of what the group's place holds in the next panel. Several tokens
  /// make so many multiplications that the next panel comes from memory meanwhile; without being
  /// asked for it does not, since passes go over a panel several times, by half lines.
  void prefetchNextPanel(const Part &part, Value block, int64_t inBlock) {
    int64_t lines = (layout.codeBytes() + 63) / 64;
    int64_t passes = ::llmir::kPanelRows / lanes / part.halves, pass = part.firstHalf / part.halves;
    auto fetch = [&](int64_t offset) {
      Value address = b.add(block, b.index(layout.panelBytes() + offset));
      memref::PrefetchOp::create(b, operands.weights, address, /*isWrite=*/false,
                                 /*localityHint=*/3, /*isDataCache=*/true);
    };
    if (pass == 0 && inBlock == 0)
      fetch(0);
    for (int64_t line = lines * pass / passes; line < lines * (pass + 1) / passes; ++line)
      fetch(64 + inBlock * layout.codeBytes() + line * 64);
  }

  /// The integer dot products of one group, scaled and added to `accumulators`.
  void addGroup(const Part &part, Value block, int64_t inBlock, Value group,
                SmallVector<Value> &accumulators) {
    int64_t scale = inBlock * 32;
    int64_t codes = 64 + inBlock * layout.codeBytes();
    if (part.tokens > 2)
      prefetchNextPanel(part, block, inBlock);
    for (int64_t i = 0; i < part.halves; ++i) {
      int64_t half = part.firstHalf + i;
      SmallVector<Value> dots = emitGroup(part, at(block, codes + half * lanes * 4), group);
      Value weightScale = loadHalves(at(block, scale + half * lanes * 2));
      Value minimum =
          layout.hasMinimum() ? loadHalves(at(block, scale + 32 + half * lanes * 2)) : Value();
      for (int64_t token = 0; token < part.tokens; ++token) {
        Value &sum = accumulators[i * part.tokens + token];
        sum = addScaled(sum, dots[token], weightScale, minimum, scaleRows, b.index(token), group);
      }
    }
  }

  Value codeRows, scaleRows, sumRows; ///< Of the part's tokens.
};
} // namespace

std::unique_ptr<SumEmitter> createIntegerSums(KernelBuilder &builder, KernelLibrary &library,
                                              const LinearKernel &kernel,
                                              const SumOperands &operands) {
  return std::make_unique<IntegerSums>(builder, library, kernel, operands);
}

} // namespace mlir::llm
