// Reads elementwise code on tensors (linalg ops, elementwise ops, reshapes, broadcasts) as scalar
// expressions over one iteration space, so that a pattern need not care how the code was cut into
// ops. Changes nothing.

#ifndef LLMIR_LIB_DIALECT_LLM_TRANSFORMS_TENSOREXPRESSIONS_H
#define LLMIR_LIB_DIALECT_LLM_TRANSFORMS_TENSOREXPRESSIONS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

#include <deque>
#include <optional>

namespace mlir::llm {

/// A dimension of a tensor in terms of an iteration space: the atoms of which it is the product,
/// outermost first. A dimension without atoms is read at index 0 only.
using AtomList = SmallVector<int, 2>;

/// The atoms of an iteration space. An atom of known size may be cut into several later; lists that
/// name it then stand for its parts.
class IterationSpace {
public:
  /// A new atom of `size`, which may be dynamic.
  int addAtom(int64_t size);
  int64_t getSize(int atom) const { return atoms[atom].size; }
  /// The list with every atom that was cut replaced by its parts.
  AtomList resolve(ArrayRef<int> list) const;
  bool isSame(ArrayRef<int> first, ArrayRef<int> second) const {
    return resolve(first) == resolve(second);
  }
  /// Cuts the atoms of `list` so that they can be dealt out to dimensions of `sizes`, whose product
  /// is theirs. Nothing where the sizes do not nest or are not known.
  std::optional<SmallVector<AtomList>> deal(ArrayRef<int> list, ArrayRef<int64_t> sizes);

private:
  struct Atom {
    int64_t size;
    AtomList parts;
  };
  std::vector<Atom> atoms;
};

/// A tensor as an expression reads it: one list of atoms for each dimension.
struct TensorView {
  Value tensor;
  SmallVector<AtomList> dims;
};

/// A node of an expression.
struct Expression {
  enum class Kind {
    Tensor,   ///< An element of `view`.
    Constant, ///< `constant`.
    Index,    ///< The index along `index`.
    Scalar,   ///< `scalar`, the same at every point.
    Operation ///< The scalar (or elementwise) op `op` of `operands`.
  };
  Kind kind;
  TensorView view;
  TypedAttr constant;
  AtomList index;
  Value scalar;
  Operation *op = nullptr;
  SmallVector<const Expression *, 3> operands;

  bool isOp(StringRef name) const {
    return kind == Kind::Operation && op->getName().getStringRef() == name;
  }
};

/// A reduction along one atom, whose result `combiner` gives of the old one and `operand`.
struct Reduction {
  StringRef combiner;
  const Expression *operand;
  const Expression *initial;
};

/// Makes expressions, which live as long as it does.
class ExpressionReader {
public:
  explicit ExpressionReader(IterationSpace &space) : space(space) {}

  /// What computes the elements of `view`, through copies and reshapes; a Tensor where that is not
  /// elementwise code. Operands that are tensors have not been looked into.
  const Expression *look(const TensorView &view);
  /// The same for an expression: looks into it if it is a tensor.
  const Expression *look(const Expression *expression);
  /// As look, but also through conversions between floating-point types.
  const Expression *lookThroughCasts(const Expression *expression);
  /// The tensor of which `view` shows elements, through copies, transpositions, reshapes and
  /// broadcasts alone.
  TensorView lookThroughCopies(const TensorView &view);

  /// The reduction along `atom` that gives the elements of `view`, if it is one.
  std::optional<Reduction> matchReduction(const TensorView &view, int atom);
  /// Whether both compute the same numbers.
  bool isSame(const Expression *first, const Expression *second);

private:
  const Expression *makeTensor(const TensorView &view);
  const Expression *lookOnce(const TensorView &view);
  const Expression *readBody(Value value, linalg::LinalgOp op, ArrayRef<AtomList> loops);
  std::optional<SmallVector<AtomList>> findLoops(linalg::LinalgOp op, AffineMap map,
                                                 const TensorView &view) const;
  std::optional<TensorView> viewOperand(linalg::LinalgOp op, OpOperand &operand,
                                        ArrayRef<AtomList> loops) const;
  const Expression *lookThroughReshape(const TensorView &view);

  IterationSpace &space;
  std::deque<Expression> nodes;
};

/// The float that a constant expression is, at any precision.
std::optional<double> getFloatConstant(const Expression *expression);

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_TRANSFORMS_TENSOREXPRESSIONS_H
