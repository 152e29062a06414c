// Follows values upwards, one op at a time; see TensorExpressions.h.

#include "TensorExpressions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <numeric>

namespace mlir::llm {

//===--- Iteration space
//------------------------------------------------------------------------===//

int IterationSpace::addAtom(int64_t size) {
  atoms.push_back({size, {}});
  return static_cast<int>(atoms.size()) - 1;
}

AtomList IterationSpace::resolve(ArrayRef<int> list) const {
  AtomList result;
  for (int atom : list) {
    if (atoms[atom].parts.empty())
      result.push_back(atom);
    else
      result.append(resolve(atoms[atom].parts));
  }
  return result;
}

std::optional<SmallVector<AtomList>> IterationSpace::deal(ArrayRef<int> list,
                                                          ArrayRef<int64_t> sizes) {
  AtomList rest = resolve(list);
  SmallVector<AtomList> result(sizes.size());
  SmallVector<size_t> places;
  for (auto [place, size] : llvm::enumerate(sizes))
    if (size != 1)
      places.push_back(place);
  // One to one: sizes may be unknown.
  if (places.size() == rest.size() && places.size() <= 1) {
    if (!places.empty())
      result[places[0]] = rest;
    return result;
  }
  auto next = rest.begin();
  for (size_t place : places) {
    int64_t wanted = sizes[place];
    if (ShapedType::isDynamic(wanted))
      return std::nullopt;
    while (wanted != 1) {
      if (next == rest.end() || ShapedType::isDynamic(getSize(*next)))
        return std::nullopt;
      int64_t size = getSize(*next);
      if (wanted % size == 0) {
        wanted /= size;
        result[place].push_back(*next++);
        continue;
      }
      if (size % wanted != 0)
        return std::nullopt;
      int first = addAtom(wanted), second = addAtom(size / wanted);
      atoms[*next].parts = {first, second};
      result[place].push_back(first);
      *next = second;
      wanted = 1;
    }
  }
  if (next != rest.end())
    return std::nullopt;
  return result;
}

//===--- Reading
//--------------------------------------------------------------------------------===//

std::optional<double> getFloatConstant(const Expression *expression) {
  if (expression->kind != Expression::Kind::Constant)
    return std::nullopt;
  if (auto value = dyn_cast<FloatAttr>(expression->constant))
    return value.getValueAsDouble();
  return std::nullopt;
}

const Expression *ExpressionReader::makeTensor(const TensorView &view) {
  Expression &node = nodes.emplace_back();
  node.kind = Expression::Kind::Tensor;
  node.view = view;
  return &node;
}

/// The loops of `op`, whose operand with `map` is read as `view`; an empty list for loops that the
/// map does not name.
std::optional<SmallVector<AtomList>> ExpressionReader::findLoops(linalg::LinalgOp op, AffineMap map,
                                                                 const TensorView &view) const {
  SmallVector<AtomList> loops(op.getNumLoops());
  for (auto [expression, dim] : llvm::zip_equal(map.getResults(), view.dims)) {
    auto loop = dyn_cast<AffineDimExpr>(expression);
    if (!loop)
      return std::nullopt;
    loops[loop.getPosition()] = dim;
  }
  return loops;
}

std::optional<TensorView> ExpressionReader::viewOperand(linalg::LinalgOp op, OpOperand &operand,
                                                        ArrayRef<AtomList> loops) const {
  TensorView view{operand.get(), {}};
  for (AffineExpr expression : op.getMatchingIndexingMap(&operand).getResults()) {
    if (auto loop = dyn_cast<AffineDimExpr>(expression))
      view.dims.push_back(loops[loop.getPosition()]);
    else if (isa<AffineConstantExpr>(expression))
      view.dims.emplace_back();
    else
      return std::nullopt;
  }
  return view;
}

/// The expression of a value in the body of `op`; null where it is not plain scalar code.
const Expression *ExpressionReader::readBody(Value value, linalg::LinalgOp op,
                                             ArrayRef<AtomList> loops) {
  Expression node;
  if (auto argument = dyn_cast<BlockArgument>(value);
      argument && argument.getOwner() == op.getBlock()) {
    OpOperand &operand = op->getOpOperand(argument.getArgNumber());
    if (!isa<RankedTensorType>(operand.get().getType()))
      return readBody(operand.get(), op, loops);
    std::optional<TensorView> view = viewOperand(op, operand, loops);
    return view && !op.isDpsInit(&operand) ? makeTensor(*view) : nullptr;
  }
  Operation *definition = value.getDefiningOp();
  if (auto constant = dyn_cast_or_null<arith::ConstantOp>(definition)) {
    node.kind = Expression::Kind::Constant;
    node.constant = constant.getValue();
  } else if (!definition || definition->getBlock() != op.getBlock()) {
    node.kind = Expression::Kind::Scalar;
    node.scalar = value;
  } else if (auto index = dyn_cast<linalg::IndexOp>(definition)) {
    node.kind = Expression::Kind::Index;
    node.index = loops[index.getDim()];
  } else {
    if (definition->getNumResults() != 1 || definition->getNumRegions() != 0)
      return nullptr;
    node.kind = Expression::Kind::Operation;
    node.op = definition;
    for (Value operand : definition->getOperands()) {
      node.operands.push_back(readBody(operand, op, loops));
      if (!node.operands.back())
        return nullptr;
    }
  }
  nodes.push_back(node);
  return &nodes.back();
}

/// Through a reshape, where its sizes are those of the iteration space.
const Expression *ExpressionReader::lookThroughReshape(const TensorView &view) {
  Operation *op = view.tensor.getDefiningOp();
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    TensorView source{expand.getSrc(), {}};
    for (const ReassociationIndices &group : expand.getReassociationIndices()) {
      AtomList joined;
      for (int64_t dim : group)
        joined.append(view.dims[dim]);
      source.dims.push_back(joined);
    }
    return makeTensor(source);
  }
  auto collapse = dyn_cast<tensor::CollapseShapeOp>(op);
  if (!collapse)
    return nullptr;
  ArrayRef<int64_t> shape = collapse.getSrcType().getShape();
  TensorView source{collapse.getSrc(), {}};
  for (auto [group, dim] : llvm::zip_equal(collapse.getReassociationIndices(), view.dims)) {
    SmallVector<int64_t> sizes;
    for (int64_t index : group)
      sizes.push_back(shape[index]);
    std::optional<SmallVector<AtomList>> dealt = space.deal(dim, sizes);
    if (!dealt)
      return nullptr;
    llvm::append_range(source.dims, *dealt);
  }
  return makeTensor(source);
}

/// One step up from `view`: null where it is not elementwise code.
const Expression *ExpressionReader::lookOnce(const TensorView &view) {
  Operation *op = view.tensor.getDefiningOp();
  if (!op)
    return nullptr;
  Expression node;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!dense || !dense.isSplat())
      return nullptr;
    node.kind = Expression::Kind::Constant;
    node.constant = cast<TypedAttr>(dense.getSplatValue<Attribute>());
    nodes.push_back(node);
    return &nodes.back();
  }
  if (auto castOp = dyn_cast<tensor::CastOp>(op))
    return makeTensor({castOp.getSource(), view.dims});
  if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
    return lookThroughReshape(view);
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
    if (op->getNumResults() != 1 || linalgOp.getNumParallelLoops() != linalgOp.getNumLoops())
      return nullptr;
    AffineMap map = linalgOp.getMatchingIndexingMap(linalgOp.getDpsInitOperand(0));
    std::optional<SmallVector<AtomList>> loops =
        map.isPermutation() ? findLoops(linalgOp, map, view) : std::nullopt;
    return loops ? readBody(linalgOp.getBlock()->getTerminator()->getOperand(0), linalgOp, *loops)
                 : nullptr;
  }
  if (!op->hasTrait<OpTrait::Elementwise>() || op->getNumResults() != 1)
    return nullptr;
  node.kind = Expression::Kind::Operation;
  node.op = op;
  for (Value operand : op->getOperands()) {
    if (!isa<RankedTensorType>(operand.getType()))
      return nullptr;
    node.operands.push_back(makeTensor({operand, view.dims}));
  }
  nodes.push_back(node);
  return &nodes.back();
}

const Expression *ExpressionReader::look(const TensorView &view) {
  const Expression *current = makeTensor(view);
  while (current->kind == Expression::Kind::Tensor) {
    const Expression *next = lookOnce(current->view);
    if (!next)
      return current;
    current = next;
  }
  return current;
}

const Expression *ExpressionReader::look(const Expression *expression) {
  if (expression->kind == Expression::Kind::Tensor)
    return look(expression->view);
  return expression;
}

const Expression *ExpressionReader::lookThroughCasts(const Expression *expression) {
  while (true) {
    expression = look(expression);
    if (!expression->isOp("arith.extf") && !expression->isOp("arith.truncf"))
      return expression;
    expression = expression->operands[0];
  }
}

TensorView ExpressionReader::lookThroughCopies(const TensorView &view) {
  TensorView current = view;
  while (const Expression *next = lookOnce(current)) {
    if (next->kind != Expression::Kind::Tensor)
      break;
    current = next->view;
  }
  return current;
}

std::optional<Reduction> ExpressionReader::matchReduction(const TensorView &view, int atom) {
  TensorView source = lookThroughCopies(view);
  auto op = source.tensor.getDefiningOp<linalg::LinalgOp>();
  if (!op || op->getNumResults() != 1 || op.getNumReductionLoops() != 1)
    return std::nullopt;
  OpOperand *init = op.getDpsInitOperand(0);
  std::optional<SmallVector<AtomList>> loops =
      findLoops(op, op.getMatchingIndexingMap(init), source);
  if (!loops)
    return std::nullopt;
  for (auto [loop, type] : llvm::zip_equal(*loops, op.getIteratorTypesArray()))
    if (type == utils::IteratorType::reduction)
      loop = {atom};
  Operation *combiner = op.getBlock()->getTerminator()->getOperand(0).getDefiningOp();
  if (!combiner || combiner->getNumOperands() != 2 || combiner->getBlock() != op.getBlock())
    return std::nullopt;
  Value old = op.getMatchingBlockArgument(init);
  Value added = combiner->getOperand(0) == old ? combiner->getOperand(1) : combiner->getOperand(0);
  if (added == old || (combiner->getOperand(0) != old && combiner->getOperand(1) != old))
    return std::nullopt;
  const Expression *operand = readBody(added, op, *loops);
  if (!operand)
    return std::nullopt;
  return Reduction{combiner->getName().getStringRef(), operand, look({init->get(), source.dims})};
}

/// Whether the ops do the same to their operands, whatever precision was asked for.
static bool isSameOperation(Operation *first, Operation *second) {
  if (first->getName() != second->getName() || first->getNumOperands() != second->getNumOperands())
    return false;
  return !isa<arith::CmpIOp, arith::CmpFOp>(first) ||
         first->getAttr("predicate") == second->getAttr("predicate");
}

bool ExpressionReader::isSame(const Expression *first, const Expression *second) {
  first = lookThroughCasts(first);
  second = lookThroughCasts(second);
  if (first->kind != second->kind)
    return false;
  switch (first->kind) {
  case Expression::Kind::Tensor:
    return first->view.tensor == second->view.tensor &&
           llvm::equal(first->view.dims, second->view.dims,
                       [&](const AtomList &a, const AtomList &b) { return space.isSame(a, b); });
  case Expression::Kind::Constant: {
    std::optional<double> a = getFloatConstant(first), b = getFloatConstant(second);
    return a && b ? *a == *b : first->constant == second->constant;
  }
  case Expression::Kind::Index:
    return space.isSame(first->index, second->index);
  case Expression::Kind::Scalar:
    return first->scalar == second->scalar;
  case Expression::Kind::Operation:
    return isSameOperation(first->op, second->op) &&
           llvm::all_of(llvm::zip_equal(first->operands, second->operands), [&](auto operands) {
             return isSame(std::get<0>(operands), std::get<1>(operands));
           });
  }
  return false;
}

} // namespace mlir::llm
