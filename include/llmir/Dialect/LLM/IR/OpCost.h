// What an op costs: bytes moved and arithmetic done, as sums that are affine in the sizes of a
// step.

#ifndef LLMIR_DIALECT_LLM_IR_OPCOST_H
#define LLMIR_DIALECT_LLM_IR_OPCOST_H

#include <cstdint>

namespace llvm {
class raw_ostream;
} // namespace llvm

namespace mlir::llm {

/// The sizes of a step on which costs depend.
struct StepSizes {
  int64_t tokens = 0;        ///< new tokens of all sequences
  int64_t sequences = 0;     ///< sequences
  int64_t rows = 0;          ///< rows of logits asked for
  int64_t contextTokens = 0; ///< lengths of all contexts, added up
  int64_t pairs = 0;         ///< (new token, token of its context), counted over all sequences

  /// One new token for each of `sequences`, all with a context of `contextLength` tokens.
  static StepSizes decode(int64_t sequences, int64_t contextLength) {
    return {sequences, sequences, sequences, sequences * contextLength, sequences * contextLength};
  }
  /// A prompt of `tokens` tokens of one sequence, the whole context.
  static StepSizes prefill(int64_t tokens) {
    return {tokens, 1, 1, tokens, tokens * (tokens + 1) / 2};
  }
};

/// A number that is affine in the sizes of a step.
struct AffineCount {
  int64_t fixed = 0;
  int64_t perToken = 0;
  int64_t perSequence = 0;
  int64_t perRow = 0;
  int64_t perContextToken = 0;
  int64_t perPair = 0;

  int64_t evaluate(const StepSizes &sizes) const {
    return fixed + perToken * sizes.tokens + perSequence * sizes.sequences + perRow * sizes.rows +
           perContextToken * sizes.contextTokens + perPair * sizes.pairs;
  }
  AffineCount &operator+=(const AffineCount &other);
  AffineCount &operator*=(int64_t factor);
  bool operator==(const AffineCount &other) const = default;
  /// Prints `4096 + 24 T + 8 C`, with T tokens, S sequences, R rows, C context tokens, P pairs.
  void print(llvm::raw_ostream &os) const;
};

inline AffineCount operator+(AffineCount a, const AffineCount &b) { return a += b; }
inline AffineCount operator*(AffineCount count, int64_t factor) { return count *= factor; }

/// The cost of an op, without what caches of the processor save.
struct OpCost {
  AffineCount bytesRead = {};      ///< from weights, KV caches and tensors
  AffineCount bytesWritten = {};   ///< to KV caches and tensors
  AffineCount flops = {};          ///< a multiplication and an addition are two
  AffineCount bytesExchanged = {}; ///< that this rank gives to others

  OpCost &operator+=(const OpCost &other);
  bool operator==(const OpCost &other) const = default;
};

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_IR_OPCOST_H
