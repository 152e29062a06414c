// llm-fuse-projections: one matrix product for the projections that read the same activations, so
// that these are normalised and quantised once and the weights are one stream. Decides by the ops'
// attributes and the weights' types only; layouts are chosen later.

#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"

namespace mlir::llm {

#define GEN_PASS_DEF_FUSEPROJECTIONSPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

class FuseProjectionsPass : public impl::FuseProjectionsPassBase<FuseProjectionsPass>,
                            public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;

private:
  bool canFuse(LinearOp op) const;
  bool areAlike(LinearOp first, LinearOp second) const;
  bool fuseGate(SwiGLUOp op);
  void fuseConcatenations(Block &block);
  void fuseGroup(ArrayRef<LinearOp> group);
  FlatSymbolRefAttr fuseSymbols(ArrayRef<FlatSymbolRefAttr> symbols, Arrangement arrangement);
  WeightOp lookUp(FlatSymbolRefAttr symbol) const;

  SymbolTable *symbols = nullptr;
  /// Users of each weight, so that a weight with other users is not stored twice.
  DenseMap<StringAttr, unsigned> uses;
};

} // namespace

/// The name of the fusion of `names`: their differing component gets the common part once, as
/// blk.0.attn_q.weight and blk.0.attn_k.weight make blk.0.attn_qk.weight, and names with nothing in
/// common are joined by '+'.
static std::string fuseNames(ArrayRef<StringRef> names) {
  SmallVector<SmallVector<StringRef>> parts;
  for (StringRef name : names) {
    parts.emplace_back();
    name.split(parts.back(), '.');
  }
  std::optional<size_t> differing;
  for (size_t i = 0; i < parts.front().size(); ++i) {
    bool equal = llvm::all_of(parts, [&](const auto &other) {
      return other.size() == parts.front().size() && other[i] == parts.front()[i];
    });
    if (equal)
      continue;
    if (differing || llvm::any_of(parts, [&](const auto &other) {
          return other.size() != parts.front().size();
        }))
      return llvm::join(names, "+");
    differing = i;
  }
  if (!differing)
    return llvm::join(names, "+");

  // The common part ends at the last underscore before the first difference.
  StringRef common = parts.front()[*differing];
  for (const auto &other : parts)
    while (!other[*differing].starts_with(common))
      common = common.drop_back();
  common = common.take_front(common.rfind('_') + 1);
  SmallVector<StringRef> suffixes;
  for (const auto &other : parts)
    suffixes.push_back(other[*differing].drop_front(common.size()));
  bool letters = llvm::all_of(suffixes, [](StringRef suffix) { return suffix.size() == 1; });
  std::string fused = (common + llvm::join(suffixes, letters ? "" : "_")).str();
  parts.front()[*differing] = fused;
  return llvm::join(parts.front(), ".");
}

WeightOp FuseProjectionsPass::lookUp(FlatSymbolRefAttr symbol) const {
  return symbols->lookup<WeightOp>(symbol.getAttr());
}

/// Whether `op` is a plain projection, on tensors, by a weight of its own.
bool FuseProjectionsPass::canFuse(LinearOp op) const {
  if (hasBuffers(op) || op.getResidual() || op.getBiasAttr() ||
      op.getEpilogue() != Epilogue::None || op.getOutputs().size() != 1)
    return false;
  WeightOp weight = lookUp(op.getWeightAttr());
  return weight && !weight.getSources() && !weight.getOffset() &&
         uses.lookup(weight.getSymNameAttr()) == 1;
}

/// Whether two projections differ in nothing but their weights' values and rows.
bool FuseProjectionsPass::areAlike(LinearOp first, LinearOp second) const {
  if (first.getInput() != second.getInput() || first->getBlock() != second->getBlock() ||
      first.getNormWeightAttr() != second.getNormWeightAttr() ||
      first.getNormEpsilonAttr() != second.getNormEpsilonAttr() ||
      first.getActivationTypeAttr() != second.getActivationTypeAttr())
    return false;
  Type type = lookUp(first.getWeightAttr()).getType();
  Type other = lookUp(second.getWeightAttr()).getType();
  if (lookUp(first.getWeightAttr()).getShardAttr() != lookUp(second.getWeightAttr()).getShardAttr())
    return false;
  ArrayRef<int64_t> shape = getWeightShape(type);
  return shape.size() == 2 && getWeightTypeWithRows(other, shape[0]) == type;
}

/// Replaces the weights `parts` by one with their sources, in the place of the first.
FlatSymbolRefAttr FuseProjectionsPass::fuseSymbols(ArrayRef<FlatSymbolRefAttr> parts,
                                                   Arrangement arrangement) {
  SmallVector<StringRef> names;
  SmallVector<Location> locations;
  SmallVector<int64_t> rows;
  int64_t sum = 0;
  for (FlatSymbolRefAttr part : parts) {
    WeightOp weight = lookUp(part);
    names.push_back(part.getValue());
    locations.push_back(weight.getLoc());
    rows.push_back(getWeightShape(weight.getType()).front());
    sum += rows.back();
  }
  WeightOp first = lookUp(parts.front());
  OpBuilder builder(first);
  auto fused = WeightOp::create(
      builder, builder.getFusedLoc(locations), builder.getStringAttr(fuseNames(names)),
      TypeAttr::get(getWeightTypeWithRows(first.getType(), sum)), builder.getStrArrayAttr(names),
      arrangement == Arrangement::Concat ? builder.getDenseI64ArrayAttr(rows) : nullptr,
      ArrangementAttr::get(builder.getContext(), arrangement), first.getShardAttr(),
      /*offset=*/IntegerAttr());
  symbols->insert(fused);
  for (FlatSymbolRefAttr part : parts)
    symbols->erase(lookUp(part));
  uses[fused.getSymNameAttr()] = 1;
  return FlatSymbolRefAttr::get(fused.getSymNameAttr());
}

/// swiglu(linear(x), linear(x)) becomes one linear whose epilogue is swiglu.
bool FuseProjectionsPass::fuseGate(SwiGLUOp op) {
  auto gate = op.getGate().getDefiningOp<LinearOp>();
  auto up = op.getUp().getDefiningOp<LinearOp>();
  if (!gate || !up || gate == up || !gate->hasOneUse() || !up->hasOneUse() || !canFuse(gate) ||
      !canFuse(up) || !areAlike(gate, up) ||
      lookUp(gate.getWeightAttr()).getType() != lookUp(up.getWeightAttr()).getType())
    return false;
  FlatSymbolRefAttr weight =
      fuseSymbols({gate.getWeightAttr(), up.getWeightAttr()}, Arrangement::Interleave);
  OpBuilder builder(op);
  auto fused = LinearOp::create(builder, op.getLoc(), op->getResultTypes(), gate.getInput(),
                                /*residual=*/Value(), weight, /*bias=*/FlatSymbolRefAttr(),
                                gate.getNormWeightAttr(), gate.getNormEpsilonAttr(),
                                EpilogueAttr::get(builder.getContext(), Epilogue::SwiGLU),
                                gate.getActivationTypeAttr());
  op->replaceAllUsesWith(fused);
  op->erase();
  gate->erase();
  up->erase();
  count("gates-fused");
  return true;
}

/// One linear with a result for each of `group`, in the place of the first.
void FuseProjectionsPass::fuseGroup(ArrayRef<LinearOp> group) {
  LinearOp first = group.front();
  SmallVector<FlatSymbolRefAttr> weights;
  SmallVector<Location> locations;
  SmallVector<Type> types;
  for (LinearOp op : group) {
    weights.push_back(op.getWeightAttr());
    locations.push_back(op.getLoc());
    types.push_back(op.getOutputs().front().getType());
  }
  FlatSymbolRefAttr weight = fuseSymbols(weights, Arrangement::Concat);
  OpBuilder builder(first);
  auto fused = LinearOp::create(builder, builder.getFusedLoc(locations), types, first.getInput(),
                                /*residual=*/Value(), weight, /*bias=*/FlatSymbolRefAttr(),
                                first.getNormWeightAttr(), first.getNormEpsilonAttr(),
                                EpilogueAttr::get(builder.getContext(), Epilogue::None),
                                first.getActivationTypeAttr());
  for (auto [op, result] : llvm::zip_equal(group, fused.getOutputs())) {
    LinearOp old = op;
    old.getOutputs().front().replaceAllUsesWith(result);
    old->erase();
  }
  count("projections-concatenated", group.size());
}

void FuseProjectionsPass::fuseConcatenations(Block &block) {
  SmallVector<SmallVector<LinearOp>> groups;
  for (LinearOp op : block.getOps<LinearOp>()) {
    if (!canFuse(op))
      continue;
    auto *group = llvm::find_if(
        groups, [&](ArrayRef<LinearOp> candidates) { return areAlike(candidates.front(), op); });
    if (group == groups.end())
      groups.push_back({op});
    else
      group->push_back(op);
  }
  for (ArrayRef<LinearOp> group : groups)
    if (group.size() > 1)
      fuseGroup(group);
}

void FuseProjectionsPass::runOnOperation() {
  ModuleOp module = getOperation();
  SymbolTable table(module);
  symbols = &table;
  uses.clear();
  auto walkUses = SymbolTable::getSymbolUses(&module.getBodyRegion());
  if (!walkUses) {
    module.emitError("expected the symbol uses of the module to be known");
    return signalPassFailure();
  }
  for (const SymbolTable::SymbolUse &use : *walkUses)
    ++uses[use.getSymbolRef().getRootReference()];

  module.walk([&](SwiGLUOp op) { fuseGate(op); });
  SmallVector<Block *> blocks;
  module.walk([&](Block *block) {
    if (!block->getOps<LinearOp>().empty())
      blocks.push_back(block);
  });
  for (Block *block : blocks)
    fuseConcatenations(*block);
}

} // namespace mlir::llm
