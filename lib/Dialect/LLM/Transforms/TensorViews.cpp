// One dimension an atom, then the order, then the products; see TensorViews.h.

#include "TensorViews.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"

#include <numeric>

namespace mlir::llm {

static int64_t getSize(const IterationSpace &space, ArrayRef<int> atoms) {
  int64_t size = 1;
  for (int atom : atoms) {
    if (ShapedType::isDynamic(space.getSize(atom)))
      return ShapedType::kDynamic;
    size *= space.getSize(atom);
  }
  return size;
}

/// `value` with its dimensions regrouped: `groups` are runs of the finer of the two shapes.
static Value reshape(OpBuilder &builder, Location loc, Value value, ArrayRef<int64_t> shape) {
  auto type = cast<RankedTensorType>(value.getType());
  auto target = RankedTensorType::get(shape, type.getElementType());
  if (type == target)
    return value;
  if (type.getRank() == target.getRank())
    return tensor::CastOp::create(builder, loc, target, value);
  auto groups = getReassociationIndicesForReshape(type, target);
  assert(groups && "sizes of atoms nest");
  if (type.getRank() < target.getRank())
    return tensor::ExpandShapeOp::create(builder, loc, target, value, *groups);
  return tensor::CollapseShapeOp::create(builder, loc, target, value, *groups);
}

/// `value`, of which dimension i is the atom `from[i]`, with the dimensions `to`.
static Value permute(OpBuilder &builder, Location loc, const IterationSpace &space, Value value,
                     ArrayRef<int> from, ArrayRef<int> to) {
  if (from == to)
    return value;
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape, places;
  SmallVector<OpFoldResult> sizes;
  SmallVector<AffineExpr> dims(from.size());
  for (auto [place, atom] : llvm::enumerate(to)) {
    shape.push_back(space.getSize(atom));
    const int *source = llvm::find(from, atom);
    if (source == from.end()) {
      sizes.push_back(builder.getIndexAttr(shape.back()));
      continue;
    }
    int64_t dim = source - from.begin();
    places.push_back(dim);
    dims[dim] = builder.getAffineDimExpr(place);
    sizes.push_back(tensor::getMixedSize(builder, loc, value, dim));
  }
  Value init = tensor::EmptyOp::create(builder, loc, sizes, type.getElementType());
  if (places.size() == to.size())
    return linalg::TransposeOp::create(builder, loc, value, init, places)->getResult(0);
  MLIRContext *context = builder.getContext();
  AffineMap maps[] = {AffineMap::get(to.size(), 0, dims, context),
                      AffineMap::getMultiDimIdentityMap(to.size(), context)};
  SmallVector<utils::IteratorType> loops(to.size(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(builder, loc, init.getType(), value, init, maps, loops,
                                   [](OpBuilder &body, Location bodyLoc, ValueRange arguments) {
                                     linalg::YieldOp::create(body, bodyLoc, arguments[0]);
                                   })
      .getResult(0);
}

Value materializeView(OpBuilder &builder, Location loc, const IterationSpace &space,
                      const TensorView &view, ArrayRef<AtomList> dims) {
  SmallVector<int> from, to;
  SmallVector<int64_t> fromShape, toShape;
  for (const AtomList &dim : view.dims)
    from.append(space.resolve(dim));
  for (int atom : from)
    fromShape.push_back(space.getSize(atom));
  for (const AtomList &dim : dims) {
    AtomList atoms = space.resolve(dim);
    to.append(atoms);
    toShape.push_back(getSize(space, atoms));
  }
  // The same atoms in the same order need one reshape at most.
  if (from == to && view.dims.size() != dims.size() &&
      (view.dims.size() == from.size() || dims.size() == to.size()))
    return reshape(builder, loc, view.tensor, toShape);
  Value atoms = reshape(builder, loc, view.tensor, fromShape);
  Value ordered = permute(builder, loc, space, atoms, from, to);
  return reshape(builder, loc, ordered, toShape);
}

} // namespace mlir::llm
