// One dimension for each run of atoms that stay together, then the order, then the products; see
// TensorViews.h.

#include "TensorViews.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"

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

/// Cuts the lists `dims` into the runs of atoms that lie side by side in one list of `others` too.
static SmallVector<AtomList> cutIntoRuns(ArrayRef<AtomList> dims, ArrayRef<AtomList> others) {
  auto areNeighbours = [&](int first, int second) {
    return llvm::any_of(others, [&](const AtomList &other) {
      const int *place = llvm::find(other, first);
      return place != other.end() && place + 1 != other.end() && place[1] == second;
    });
  };
  SmallVector<AtomList> runs;
  for (const AtomList &dim : dims)
    for (auto [place, atom] : llvm::enumerate(dim)) {
      if (place == 0 || !areNeighbours(dim[place - 1], atom))
        runs.emplace_back();
      runs.back().push_back(atom);
    }
  return runs;
}

/// `value`, of which dimension i is the run `from[i]`, with the dimensions `to`.
static Value permute(OpBuilder &builder, Location loc, const IterationSpace &space, Value value,
                     ArrayRef<AtomList> from, ArrayRef<AtomList> to) {
  if (from == to)
    return value;
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> places;
  SmallVector<OpFoldResult> sizes;
  SmallVector<AffineExpr> dims(from.size());
  for (auto [place, run] : llvm::enumerate(to)) {
    const AtomList *source = llvm::find(from, run);
    if (source == from.end()) {
      sizes.push_back(builder.getIndexAttr(getSize(space, run)));
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
  auto resolveAll = [&](ArrayRef<AtomList> lists) {
    return llvm::map_to_vector(lists, [&](const AtomList &list) { return space.resolve(list); });
  };
  auto getSizes = [&](ArrayRef<AtomList> lists) {
    return llvm::map_to_vector(lists, [&](const AtomList &list) { return getSize(space, list); });
  };
  SmallVector<AtomList> source = resolveAll(view.dims), target = resolveAll(dims);
  if (source == target)
    return reshape(builder, loc, view.tensor, getSizes(target));
  SmallVector<AtomList> from = cutIntoRuns(source, target), to = cutIntoRuns(target, source);
  // The same runs in the same order need one reshape at most, if one of the shapes is the finer.
  if (from == to && source.size() != target.size() &&
      (from.size() == source.size() || to.size() == target.size()))
    return reshape(builder, loc, view.tensor, getSizes(target));
  Value runs = reshape(builder, loc, view.tensor, getSizes(from));
  Value ordered = permute(builder, loc, space, runs, from, to);
  return reshape(builder, loc, ordered, getSizes(target));
}

} // namespace mlir::llm
