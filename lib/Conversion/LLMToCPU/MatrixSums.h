// The sums of a matrix product: what differs between formats of weights, types of activations and
// the units of a processor. LinearKernel.cpp has the schedule over panels and tokens and what is
// done with the sums; it asks a SumEmitter for how many tokens may meet a panel at once. A new unit
// is a new SumEmitter, or a branch of DotProduct.h where it only multiplies bytes of a group.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_MATRIXSUMS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_MATRIXSUMS_H

#include "Kernels.h"

#include <memory>

namespace mlir::llm {

/// Some rows of a panel for some tokens: vectors [half * tokens + token].
struct Part {
  Value panel;       ///< Byte offset of the panel.
  int64_t firstHalf; ///< First vector of the panel's 16 rows.
  int64_t halves;
  Value token; ///< First token.
  int64_t tokens;
};

/// The arguments of a product that its sums are made of.
struct SumOperands {
  Value input;        ///< Rows, or codes.
  Value scales, sums; ///< Of int8 activations.
  Value weights;      ///< memref<?xi8>
};

/// Rows [first, first + count) of `rows`: what lies in them is at constant distances, so that one
/// address serves all.
Value takeRows(KernelBuilder &builder, Value rows, Value first, int64_t count);

/// Emits the sums of one product. Every output is summed in an order that the product alone
/// decides, and neither the number of tokens nor the part.
class SumEmitter {
public:
  SumEmitter(KernelBuilder &builder, KernelLibrary &library, const LinearKernel &kernel,
             const SumOperands &operands)
      : b(builder), library(library), kernel(kernel), layout(kernel.layout),
        target(library.target()), operands(operands), lanes(library.target().lanes) {}
  virtual ~SumEmitter() = default;

  /// How many tokens may meet a panel at once, falling and down to 1: as many of the first as there
  /// are, then each other at most once.
  virtual SmallVector<int64_t> tokenCounts() const = 0;
  /// The vectors of a panel that `tokens` tokens meet at once; they divide the panel's.
  virtual int64_t vectorsAtOnce(int64_t tokens) const;
  /// Whether the code for so many tokens is a function of its own: where tile registers are
  /// configured, which is done for a whole function, and where so many addresses are computed that
  /// those of other counts, moved before the loops, would take their registers.
  virtual bool needsFunction(int64_t tokens) const { return tokens > 4; }
  /// The part's sums: vectors of `lanes` f32.
  virtual SmallVector<Value> emit(const Part &part) = 0;

protected:
  Value at(Value offset, int64_t bytes) {
    return bytes == 0 ? offset : b.add(offset, b.index(bytes));
  }
  /// A vector of f16 scales, as f32.
  Value loadHalves(Value offset);
  /// `sum` plus a group's integer dots, scaled by the weights' and the token's scales, and the
  /// minimum (or null) by the token's sum: one order for every unit. `scales` are rows of tokens.
  Value addScaled(Value sum, Value dots, Value weightScale, Value minimum, Value scales, Value row,
                  Value group);
  /// The sums of two chains, one after the other in `sums`.
  SmallVector<Value> addChains(ArrayRef<Value> sums);

  using AddGroup = llvm::function_ref<void(Value block, int64_t inBlock, Value group,
                                           SmallVector<Value> &carried)>;
  /// A loop over the blocks of a quantised panel, its groups unrolled; then a last odd group.
  SmallVector<Value> emitBlocks(Value panel, ValueRange initial, AddGroup addGroup);

  KernelBuilder &b;
  KernelLibrary &library;
  const LinearKernel &kernel;
  const ::llmir::PackedLayout &layout;
  const CPUTarget &target;
  SumOperands operands;
  int64_t lanes;
};

/// By fma of f32: weights of every format, activations in f32.
std::unique_ptr<SumEmitter> createFloatSums(KernelBuilder &builder, KernelLibrary &library,
                                            const LinearKernel &kernel,
                                            const SumOperands &operands);
/// Int8 activations and the codes of quantised weights: exact within a group, then group by group
/// by fma.
std::unique_ptr<SumEmitter> createIntegerSums(KernelBuilder &builder, KernelLibrary &library,
                                              const LinearKernel &kernel,
                                              const SumOperands &operands);
/// The same sums as createIntegerSums on SVE.
std::unique_ptr<SumEmitter> createScalableSums(KernelBuilder &builder, KernelLibrary &library,
                                               const LinearKernel &kernel,
                                               const SumOperands &operands);
/// Weights and activations in bf16, two along k at a time.
std::unique_ptr<SumEmitter> createPairSums(KernelBuilder &builder, KernelLibrary &library,
                                           const LinearKernel &kernel, const SumOperands &operands);
/// The same sums as createIntegerSums by byte tiles, where there are enough tokens.
std::unique_ptr<SumEmitter> createByteTileSums(KernelBuilder &builder, KernelLibrary &library,
                                               const LinearKernel &kernel,
                                               const SumOperands &operands);
/// Weights and activations in bf16, by tiles.
std::unique_ptr<SumEmitter> createPairTileSums(KernelBuilder &builder, KernelLibrary &library,
                                               const LinearKernel &kernel,
                                               const SumOperands &operands);
/// What `kernel` is computed by on the library's target.
std::unique_ptr<SumEmitter> createSums(KernelBuilder &builder, KernelLibrary &library,
                                       const LinearKernel &kernel, const SumOperands &operands);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_MATRIXSUMS_H
