// Recognises masks that compare the indices of queries and keys: causal ones and windows.

#ifndef LLMIR_LIB_DIALECT_LLM_TRANSFORMS_ATTENTIONMASKPATTERN_H
#define LLMIR_LIB_DIALECT_LLM_TRANSFORMS_ATTENTIONMASKPATTERN_H

#include "AttentionPattern.h"

namespace mlir::llm {

/// Whether a score of this value leaves a key out of a softmax: minus infinity, the lowest number
/// of its type, or anything below -1e9.
bool isMaskedScore(const Expression *value);

/// A condition on (key - query), where the last query sees the last key.
class IndexMask {
public:
  IndexMask(ExpressionReader &reader, const AttentionPattern &pattern, int keyAtom)
      : reader(reader), pattern(pattern), keyAtom(keyAtom) {}

  /// Reads `condition`, which holds where a key is seen, or where it is not. False where that is
  /// not a causal mask, a window, or both.
  bool read(const Expression *condition, bool seen);
  bool isCausal() const { return causal; }
  std::optional<int64_t> getWindow() const { return window; }

private:
  /// query * `queries` + key * `keys` + `constant`.
  struct Line {
    int64_t queries = 0;
    int64_t keys = 0;
    int64_t constant = 0;
  };
  std::optional<Line> readLine(const Expression *expression);
  bool readComparison(const Expression *comparison, bool seen);

  ExpressionReader &reader;
  const AttentionPattern &pattern;
  int keyAtom;
  bool causal = false;
  std::optional<int64_t> window;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_TRANSFORMS_ATTENTIONMASKPATTERN_H
