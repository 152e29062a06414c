// Index comparisons as inequalities of key - query; see AttentionMaskPattern.h.

#include "AttentionMaskPattern.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>

namespace mlir::llm {

bool isMaskedScore(const Expression *value) {
  if (value->kind != Expression::Kind::Constant)
    return false;
  auto number = dyn_cast<FloatAttr>(value->constant);
  if (!number)
    return false;
  double score = number.getValueAsDouble();
  return score <= -1e9 || (number.getValue().isLargest() && score < 0.0);
}

/// A linear function of the two indices, through casts between integer types.
std::optional<IndexMask::Line> IndexMask::readLine(const Expression *expression) {
  expression = reader.look(expression);
  switch (expression->kind) {
  case Expression::Kind::Constant:
    if (auto number = dyn_cast<IntegerAttr>(expression->constant))
      return Line{0, 0, number.getInt()};
    return std::nullopt;
  case Expression::Kind::Index: {
    AtomList atoms = pattern.space.resolve(expression->index);
    if (atoms == AtomList{keyAtom})
      return Line{0, 1, 0};
    return atoms == pattern.queries ? std::optional(Line{1, 0, 0}) : std::nullopt;
  }
  case Expression::Kind::Operation:
    break;
  default:
    return std::nullopt;
  }
  if (expression->isOp("arith.index_cast") || expression->isOp("arith.extsi") ||
      expression->isOp("arith.trunci"))
    return readLine(expression->operands[0]);
  bool isDifference = expression->isOp("arith.subi");
  if (!isDifference && !expression->isOp("arith.addi"))
    return std::nullopt;
  std::optional<Line> left = readLine(expression->operands[0]);
  std::optional<Line> right = readLine(expression->operands[1]);
  if (!left || !right)
    return std::nullopt;
  int64_t sign = isDifference ? -1 : 1;
  return Line{left->queries + sign * right->queries, left->keys + sign * right->keys,
              left->constant + sign * right->constant};
}

/// Brings a comparison to key - query <= bound or key - query >= bound.
bool IndexMask::readComparison(const Expression *comparison, bool seen) {
  auto predicate = cast<arith::CmpIOp>(comparison->op).getPredicate();
  if (!seen)
    predicate = arith::invertPredicate(predicate);
  std::optional<Line> left = readLine(comparison->operands[0]);
  std::optional<Line> right = readLine(comparison->operands[1]);
  if (!left || !right)
    return false;
  // left - right <= bound, with the sign that makes the keys positive.
  Line line{left->queries - right->queries, left->keys - right->keys,
            left->constant - right->constant};
  bool isAtMost;
  int64_t bound = -line.constant;
  switch (predicate) {
  case arith::CmpIPredicate::sle:
    isAtMost = true;
    break;
  case arith::CmpIPredicate::slt:
    isAtMost = true;
    bound -= 1;
    break;
  case arith::CmpIPredicate::sge:
    isAtMost = false;
    break;
  case arith::CmpIPredicate::sgt:
    isAtMost = false;
    bound += 1;
    break;
  default:
    return false;
  }
  if (line.keys == -1 && line.queries == 1) {
    isAtMost = !isAtMost;
    bound = -bound;
  } else if (line.keys != 1 || line.queries != -1) {
    return false;
  }
  int64_t queries = pattern.space.getSize(pattern.queries[0]);
  int64_t keys = pattern.space.getSize(keyAtom);
  if (ShapedType::isDynamic(queries) || ShapedType::isDynamic(keys))
    return false;
  int64_t distance = bound - (keys - queries);
  if (isAtMost) {
    causal |= distance == 0;
    return distance == 0;
  }
  if (distance > 0)
    return false;
  window = std::min(window.value_or(1 - distance), 1 - distance);
  return true;
}

bool IndexMask::read(const Expression *condition, bool seen) {
  condition = reader.look(condition);
  if (condition->isOp(seen ? "arith.andi" : "arith.ori"))
    return read(condition->operands[0], seen) && read(condition->operands[1], seen);
  return condition->isOp("arith.cmpi") && readComparison(condition, seen);
}

} // namespace mlir::llm
