// Matches from the product with values upwards: normalisation, exponentials, masks, soft cap,
// scale, the product of queries and keys; see AttentionPattern.h.

#include "AttentionPattern.h"

#include "AttentionMaskPattern.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"

#include <cmath>

namespace mlir::llm {
namespace {

/// A contraction over one loop, with zero as its start.
struct Contraction {
  linalg::LinalgOp op;
  linalg::ContractionDimensions dims;
};

/// How far inwards the scores have been read: what is met later must be further in.
enum class Stage { Mask, SoftCap, Scale };

class AttentionMatcher {
public:
  AttentionMatcher(linalg::LinalgOp product, llvm::function_ref<void(StringRef)> notify)
      : product(product), notify(notify), reader(pattern.space) {}

  /// Matches with the probabilities as operand `side` (0 or 1) of the product.
  bool match(unsigned side);
  AttentionPattern takePattern() { return std::move(pattern); }

private:
  bool fail(StringRef reason) {
    notify(reason);
    return false;
  }
  std::optional<Contraction> getContraction(Operation *op);
  bool readProductWithValues(unsigned side);
  const Expression *matchSoftmax();
  const Expression *matchNormalised(const Expression *probabilities);
  bool isExponentialSum(const Expression *divisor, const Expression *exponential);
  const Expression *matchExponential(const Expression *exponential);
  bool matchScores(const Expression *scores, Stage stage);
  bool matchSum(const Expression *sum, Stage stage);
  bool matchSelect(const Expression *select, Stage stage);
  bool matchFactor(const Expression *scores, Stage stage);
  bool matchSoftCap(const Expression *product, double factor);
  bool matchProductWithKeys(const TensorView &view);
  TensorView readOperand(const TensorView &view);
  bool assignRoles();

  linalg::LinalgOp product;
  llvm::function_ref<void(StringRef)> notify;
  AttentionPattern pattern;
  ExpressionReader reader;
  TensorView probabilities;
  SmallVector<AtomList> rows;
  int keyAtom = -1;
};

} // namespace

/// A constant by which scores can be multiplied or divided.
static std::optional<double> getFactor(const Expression *expression) {
  std::optional<double> value = getFloatConstant(expression);
  return value && std::isfinite(*value) && *value != 0.0 ? value : std::nullopt;
}

std::optional<Contraction> AttentionMatcher::getContraction(Operation *op) {
  auto contraction = dyn_cast_or_null<linalg::LinalgOp>(op);
  if (!contraction || contraction->getNumResults() != 1 ||
      !linalg::isaContractionOpInterface(contraction))
    return std::nullopt;
  FailureOr<linalg::ContractionDimensions> dims = linalg::inferContractionDims(contraction);
  if (failed(dims) || dims->k.size() != 1)
    return std::nullopt;
  OpOperand *init = contraction.getDpsInitOperand(0);
  SmallVector<AtomList> any(cast<RankedTensorType>(init->get().getType()).getRank());
  std::optional<double> start = getFloatConstant(reader.look({init->get(), any}));
  if (!start || *start != 0.0)
    return std::nullopt;
  return Contraction{contraction, *dims};
}

/// Reads the loops of the product with values as the atoms of the iteration space.
bool AttentionMatcher::readProductWithValues(unsigned side) {
  std::optional<Contraction> contraction = getContraction(product);
  if (!contraction)
    return false;
  const SmallVector<unsigned, 2> &rowLoops = side == 0 ? contraction->dims.m : contraction->dims.n;
  const SmallVector<unsigned, 2> &columnLoops =
      side == 0 ? contraction->dims.n : contraction->dims.m;
  if (columnLoops.size() != 1 || rowLoops.empty())
    return false;
  SmallVector<AtomList> loops;
  for (int64_t size : product.getStaticLoopRanges())
    loops.push_back({pattern.space.addAtom(size)});
  auto view = [&](OpOperand &operand) {
    TensorView result{operand.get(), {}};
    for (AffineExpr expression : product.getMatchingIndexingMap(&operand).getResults())
      result.dims.push_back(loops[cast<AffineDimExpr>(expression).getPosition()]);
    return result;
  };
  keyAtom = loops[contraction->dims.k[0]][0];
  pattern.keys = {keyAtom};
  pattern.valueDim = loops[columnLoops[0]];
  probabilities = view(product->getOpOperand(side));
  pattern.value = reader.lookThroughCopies(view(product->getOpOperand(1 - side)));
  pattern.result = view(*product.getDpsInitOperand(0));
  pattern.result.tensor = product->getResult(0);
  return true;
}

//===--- Softmax
//--------------------------------------------------------------------------------===//

/// The scores of which the probabilities are the softmax along the keys; null if they are not.
const Expression *AttentionMatcher::matchSoftmax() {
  const Expression *current = reader.lookThroughCasts(reader.look(probabilities));
  if (current->kind != Expression::Kind::Tensor)
    return matchNormalised(current);
  auto softmax = current->view.tensor.getDefiningOp<linalg::SoftmaxOp>();
  if (!softmax ||
      pattern.space.resolve(current->view.dims[softmax.getDimension()]) != AtomList{keyAtom})
    return nullptr;
  return reader.look(TensorView{softmax.getInput(), current->view.dims});
}

/// exponential / sum, or exponential * (1 / sum).
const Expression *AttentionMatcher::matchNormalised(const Expression *current) {
  if (current->isOp("arith.divf")) {
    const Expression *exponential = reader.lookThroughCasts(current->operands[0]);
    return isExponentialSum(current->operands[1], exponential) ? matchExponential(exponential)
                                                               : nullptr;
  }
  if (!current->isOp("arith.mulf"))
    return nullptr;
  for (unsigned side : {0, 1}) {
    const Expression *inverse = reader.lookThroughCasts(current->operands[side]);
    if (!inverse->isOp("arith.divf") ||
        getFloatConstant(reader.look(inverse->operands[0])) != std::optional(1.0))
      continue;
    const Expression *exponential = reader.lookThroughCasts(current->operands[1 - side]);
    if (isExponentialSum(inverse->operands[1], exponential))
      return matchExponential(exponential);
  }
  return nullptr;
}

bool AttentionMatcher::isExponentialSum(const Expression *divisor, const Expression *exponential) {
  divisor = reader.lookThroughCasts(divisor);
  if (divisor->kind != Expression::Kind::Tensor)
    return false;
  std::optional<Reduction> sum = reader.matchReduction(divisor->view, keyAtom);
  return sum && sum->combiner == "arith.addf" &&
         getFloatConstant(sum->initial) == std::optional(0.0) &&
         reader.isSame(sum->operand, exponential);
}

/// exp(scores - their maximum), or exp(scores).
const Expression *AttentionMatcher::matchExponential(const Expression *exponential) {
  if (!exponential->isOp("math.exp"))
    return nullptr;
  const Expression *argument = reader.lookThroughCasts(exponential->operands[0]);
  if (!argument->isOp("arith.subf"))
    return argument;
  const Expression *largest = reader.lookThroughCasts(argument->operands[1]);
  std::optional<Reduction> reduction = largest->kind == Expression::Kind::Tensor
                                           ? reader.matchReduction(largest->view, keyAtom)
                                           : std::nullopt;
  // Where the maximum starts does not matter: the softmax is the same for every finite shift.
  if (!reduction ||
      (reduction->combiner != "arith.maximumf" && reduction->combiner != "arith.maxnumf") ||
      !reader.isSame(reduction->operand, argument->operands[0]))
    return nullptr;
  return reader.lookThroughCasts(argument->operands[0]);
}

//===--- Scores
//---------------------------------------------------------------------------------===//

bool AttentionMatcher::matchScores(const Expression *scores, Stage stage) {
  scores = reader.lookThroughCasts(scores);
  if (scores->kind == Expression::Kind::Tensor)
    return matchProductWithKeys(scores->view);
  if (scores->isOp("arith.addf"))
    return stage == Stage::Mask && matchSum(scores, stage);
  if (scores->isOp("arith.select"))
    return stage == Stage::Mask && matchSelect(scores, stage);
  return matchFactor(scores, stage);
}

/// scores + mask, on either side.
bool AttentionMatcher::matchSum(const Expression *sum, Stage stage) {
  for (unsigned side : {0, 1}) {
    const Expression *added = reader.lookThroughCasts(sum->operands[1 - side]);
    if (added->kind != Expression::Kind::Tensor || pattern.mask ||
        getContraction(added->view.tensor.getDefiningOp()))
      continue;
    pattern.mask = added->view;
    return matchScores(sum->operands[side], stage);
  }
  return fail("expected one mask that is a tensor");
}

/// select(seen, scores, very low), or the other way round where the condition compares indices.
bool AttentionMatcher::matchSelect(const Expression *select, Stage stage) {
  const Expression *condition = reader.look(select->operands[0]);
  bool seen = isMaskedScore(reader.look(select->operands[2]));
  if (!seen && !isMaskedScore(reader.look(select->operands[1])))
    return fail("expected a mask that makes scores minus infinity");
  const Expression *scores = select->operands[seen ? 1 : 2];
  if (condition->kind == Expression::Kind::Tensor) {
    if (pattern.mask)
      return fail("expected one mask that is a tensor");
    pattern.mask = condition->view;
    pattern.maskIsInverted = !seen;
    return matchScores(scores, stage);
  }
  // Which atom is the query's is known once the keys are.
  if (!matchScores(scores, stage))
    return false;
  IndexMask mask(reader, pattern, keyAtom);
  if (!mask.read(condition, seen))
    return fail("expected a mask of keys up to the query's position, or of a window before it");
  pattern.causal |= mask.isCausal();
  if (mask.getWindow())
    pattern.window = std::min(pattern.window.value_or(*mask.getWindow()), *mask.getWindow());
  return true;
}

/// scores * constant, scores / constant, or a soft cap.
bool AttentionMatcher::matchFactor(const Expression *scores, Stage stage) {
  bool isQuotient = scores->isOp("arith.divf");
  if (!isQuotient && !scores->isOp("arith.mulf"))
    return fail("expected scores that are scaled, capped or masked products of queries and keys");
  for (unsigned side : {0, 1}) {
    std::optional<double> factor = getFactor(reader.look(scores->operands[1 - side]));
    if (!factor || (isQuotient && side == 1))
      continue;
    const Expression *inner = reader.lookThroughCasts(scores->operands[side]);
    if (inner->isOp("math.tanh"))
      return !isQuotient && stage != Stage::Scale && matchSoftCap(inner, *factor);
    pattern.scale *= isQuotient ? 1.0 / *factor : *factor;
    return matchScores(inner, Stage::Scale);
  }
  return fail("expected scores to be scaled by a constant");
}

/// cap * tanh(scores / cap), of which `tanh` is the second factor.
bool AttentionMatcher::matchSoftCap(const Expression *tanh, double cap) {
  if (pattern.softCap || cap <= 0.0)
    return false;
  const Expression *argument = reader.lookThroughCasts(tanh->operands[0]);
  bool isQuotient = argument->isOp("arith.divf");
  if (!isQuotient && !argument->isOp("arith.mulf"))
    return fail("expected a soft cap's argument to be divided by the cap");
  for (unsigned side : {0, 1}) {
    std::optional<double> factor = getFactor(reader.look(argument->operands[1 - side]));
    if (!factor || (isQuotient && side == 1))
      continue;
    // The scale may have been folded into the division; f32 constants are near each other only.
    double divisor = isQuotient ? *factor : 1.0 / *factor;
    pattern.softCap = cap;
    double rest = cap / divisor;
    pattern.scale *= std::fabs(rest - 1.0) < 1e-6 ? 1.0 : rest;
    return matchScores(argument->operands[side], Stage::Scale);
  }
  return fail("expected a soft cap's argument to be divided by a constant");
}

//===--- Products
//-------------------------------------------------------------------------------===//

/// The tensor that `view` copies; a constant factor on the way goes to the scale.
TensorView AttentionMatcher::readOperand(const TensorView &view) {
  const Expression *expression = reader.look(view);
  bool isQuotient = expression->isOp("arith.divf");
  if (isQuotient || expression->isOp("arith.mulf")) {
    for (unsigned side : {0, 1}) {
      std::optional<double> factor = getFactor(reader.look(expression->operands[1 - side]));
      const Expression *scaled = expression->operands[side];
      if (!factor || (isQuotient && side == 1) || scaled->kind != Expression::Kind::Tensor)
        continue;
      pattern.scale *= isQuotient ? 1.0 / *factor : *factor;
      return readOperand(scaled->view);
    }
  }
  return reader.lookThroughCopies(view);
}

bool AttentionMatcher::matchProductWithKeys(const TensorView &view) {
  std::optional<Contraction> contraction = getContraction(view.tensor.getDefiningOp());
  if (!contraction)
    return fail("expected the scores to be a product of queries and keys");
  linalg::LinalgOp op = contraction->op;
  SmallVector<AtomList> loops(op.getNumLoops());
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  for (auto [expression, dim] : llvm::zip_equal(map.getResults(), view.dims))
    loops[cast<AffineDimExpr>(expression).getPosition()] = dim;
  unsigned inner = contraction->dims.k[0];
  pattern.headDim = {pattern.space.addAtom(op.getStaticLoopRanges()[inner])};
  loops[inner] = pattern.headDim;
  auto viewOf = [&](unsigned index) {
    OpOperand &operand = op->getOpOperand(index);
    TensorView result{operand.get(), {}};
    for (AffineExpr expression : op.getMatchingIndexingMap(&operand).getResults())
      result.dims.push_back(loops[cast<AffineDimExpr>(expression).getPosition()]);
    return result;
  };
  auto hasKeys = [&](const TensorView &operand) {
    return llvm::any_of(operand.dims, [&](const AtomList &dim) {
      return llvm::is_contained(pattern.space.resolve(dim), keyAtom);
    });
  };
  TensorView first = viewOf(0), second = viewOf(1);
  if (hasKeys(first) == hasKeys(second))
    return fail("expected one factor of the scores to vary along the keys");
  pattern.query = readOperand(hasKeys(first) ? second : first);
  pattern.key = readOperand(hasKeys(first) ? first : second);
  return assignRoles();
}

static AtomList collectAtoms(const IterationSpace &space, const TensorView &view) {
  AtomList atoms;
  for (const AtomList &dim : view.dims)
    atoms.append(space.resolve(dim));
  return atoms;
}

/// Sorts the atoms of the probabilities into batch, KV head, query group and queries.
bool AttentionMatcher::assignRoles() {
  const IterationSpace &space = pattern.space;
  AtomList all = collectAtoms(space, probabilities);
  AtomList ofQuery = collectAtoms(space, pattern.query), ofKey = collectAtoms(space, pattern.key),
           ofValue = collectAtoms(space, pattern.value);
  AtomList shared, own;
  for (int atom : all) {
    if (atom == keyAtom)
      continue;
    bool inKey = llvm::is_contained(ofKey, atom), inValue = llvm::is_contained(ofValue, atom);
    if (inKey != inValue || !llvm::is_contained(ofQuery, atom))
      return fail("expected keys and values with the same heads, and queries with all of them");
    (inKey ? shared : own).push_back(atom);
  }
  if (own.empty() || ofQuery.size() != shared.size() + own.size() + 1 ||
      ofKey.size() != shared.size() + 2 || ofValue.size() != shared.size() + 2)
    return fail("expected queries, keys and values of one head size each");
  pattern.queries = {own.pop_back_val()};
  pattern.group = own;
  if (shared.size() > 1 || (shared.size() == 1 && !own.empty()))
    pattern.head = {shared.pop_back_val()};
  pattern.batch = shared;
  return true;
}

bool AttentionMatcher::match(unsigned side) {
  if (!readProductWithValues(side))
    return false;
  const Expression *scores = matchSoftmax();
  if (!scores)
    return false;
  if (!probabilities.tensor.hasOneUse())
    return fail("expected the probabilities to have no other reader");
  return matchScores(scores, Stage::Mask);
}

FailureOr<AttentionPattern> matchAttention(linalg::LinalgOp product,
                                           llvm::function_ref<void(StringRef)> notify) {
  for (unsigned side : {0, 1}) {
    AttentionMatcher matcher(product, notify);
    if (matcher.match(side))
      return matcher.takePattern();
  }
  return failure();
}

} // namespace mlir::llm
