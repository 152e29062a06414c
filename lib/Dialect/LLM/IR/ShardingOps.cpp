// Verification of products over several ranks and of the exchange between them.

#include "OpAssembly.h"
#include "VerifyHelpers.h"

using namespace mlir;
using namespace mlir::llm;

#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/ShardingOps.cpp.inc"

static ShapedType getShapedType(Value value) { return cast<ShapedType>(value.getType()); }

static LogicalResult verifyShards(Operation *op, int32_t shards) {
  // (SH-1)
  if (shards < 1)
    return op->emitOpError("expected at least one shard, but got ") << shards;
  return success();
}

static LogicalResult verifyRank(Operation *op, StringRef name, int32_t rank) {
  // (SH-2)
  if (rank < 0)
    return op->emitOpError("expected '") << name << "' not to be negative, but got " << rank;
  return success();
}

//===----------------------------------------------------------------------===//
// ShardedLinearOp
//===----------------------------------------------------------------------===//

void ShardedLinearOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  addOpEffects(*this, effects);
  if (getSplit() == ShardSplit::Input)
    addExchangeEffects(effects);
}

LogicalResult ShardedLinearOp::verify() {
  if (failed(verifyShards(*this, static_cast<int32_t>(getShards()))))
    return failure();
  // (SH-3)
  if (failed(verifyDim(*this, "output", getOutput(), 0, getShapedType(getInput()).getDimSize(0),
                       "the number of tokens")))
    return failure();
  // (SH-4) A rank that has part of the features cannot norm them, and a sum is not gated by parts.
  if (getSplit() == ShardSplit::Input && (getNormWeightAttr() || getEpilogue() != Epilogue::None))
    return emitOpError("expected no norm and no epilogue with split(input)");
  // (SH-5)
  if (getResidual() && getResidual().getType() != getOutput().getType())
    return emitOpError("expected the residual to have the result's type ")
           << getOutput().getType() << ", but got " << getResidual().getType();
  if (failed(verifyFusedNorm(*this, getNormWeightAttr(), getNormEpsilonAttr())))
    return failure();
  return verifyActivationType(*this, getActivationType(),
                              getNumFeatures(getShapedType(getInput())));
}

LogicalResult ShardedLinearOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  int64_t shards = static_cast<int32_t>(getShards());
  bool splitsInput = getSplit() == ShardSplit::Input;
  int64_t inputFeatures = getNumFeatures(getShapedType(getInput()));
  if (splitsInput && !ShapedType::isDynamic(inputFeatures))
    inputFeatures *= shards;
  WeightOp weight =
      lookupMatrixOrEmit(*this, "weight", getWeightAttr(), inputFeatures, symbolTable);
  if (!weight)
    return failure();
  // (SH-6)
  bool isGated = getEpilogue() == Epilogue::SwiGLU;
  bool interleaved = weight.getArrangement() == Arrangement::Interleave;
  if (weight.getNumSources() != (isGated ? 2 : 1) || interleaved != isGated)
    return emitOpError("expected a weight of ")
           << (isGated ? "2 interleaved sources with epilogue swiglu" : "one source") << ", but "
           << getWeightAttr() << " has " << weight.getNumSources();
  // (SH-7)
  int64_t divided = splitsInput ? weight.getCols() : weight.getRows();
  if (divided % shards != 0)
    return emitOpError("expected the number of shards to divide the ")
           << divided << (splitsInput ? " columns" : " rows") << " of " << getWeightAttr()
           << ", but got " << shards;
  // (SH-8)
  int64_t features = weight.getRows() / (isGated ? 2 : 1) / (splitsInput ? 1 : shards);
  int64_t outputFeatures = getNumFeatures(getShapedType(getOutput()));
  if (!mayBeEqual(outputFeatures, features))
    return emitOpError("expected a result of ")
           << features << " features, but got " << outputFeatures;
  if (getNormWeightAttr() &&
      failed(verifyVector(*this, "norm_weight", getNormWeightAttr(), inputFeatures, symbolTable)))
    return failure();
  if (!getBiasAttr())
    return success();
  return verifyVector(*this, "bias", getBiasAttr(), weight.getRows(), symbolTable);
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

LogicalResult AllReduceOp::verify() {
  return verifyShards(*this, static_cast<int32_t>(getShards().value_or(1)));
}

/// The type of a collective's result: the operand's, with dimension `dim` changed by `change`. The
/// verifier refuses what makes no sense here.
static LogicalResult inferAlongDim(ValueRange operands, int32_t dim, int64_t shards,
                                   function_ref<int64_t(int64_t size)> change,
                                   SmallVectorImpl<Type> &types) {
  auto input = operands.empty() ? ShapedType() : dyn_cast<ShapedType>(operands[0].getType());
  if (!input || !input.hasRank())
    return failure();
  SmallVector<int64_t> shape(input.getShape());
  if (shards > 0 && dim >= 0 && dim < input.getRank() && !input.isDynamicDim(dim))
    shape[dim] = change(shape[dim]);
  types.push_back(makeLike(input, shape, input.getElementType()));
  return success();
}

LogicalResult AllGatherOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                            ValueRange operands, DictionaryAttr attributes,
                                            OpaqueProperties properties, RegionRange regions,
                                            SmallVectorImpl<Type> &types) {
  // (SH-9)
  AllGatherOpAdaptor adaptor(operands, attributes, properties, regions);
  int64_t shards = static_cast<int32_t>(adaptor.getShards());
  return inferAlongDim(
      operands, static_cast<int32_t>(adaptor.getDim()), shards,
      [&](int64_t size) { return size * shards; }, types);
}

LogicalResult ReduceScatterOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                                ValueRange operands, DictionaryAttr attributes,
                                                OpaqueProperties properties, RegionRange regions,
                                                SmallVectorImpl<Type> &types) {
  // (SH-9)
  ReduceScatterOpAdaptor adaptor(operands, attributes, properties, regions);
  int64_t shards = static_cast<int32_t>(adaptor.getShards());
  return inferAlongDim(
      operands, static_cast<int32_t>(adaptor.getDim()), shards,
      [&](int64_t size) { return size / shards; }, types);
}

/// The dimension along which a tensor is divided.
static LogicalResult verifyDivision(Operation *op, Value whole, int32_t dim, int32_t shards) {
  if (failed(verifyShards(op, shards)))
    return failure();
  // (SH-10)
  ShapedType type = getShapedType(whole);
  if (dim < 0 || dim >= type.getRank())
    return op->emitOpError("expected 'dim' to be less than the rank ")
           << type.getRank() << ", but got " << dim;
  // (SH-11)
  if (!type.isDynamicDim(dim) && type.getDimSize(dim) % shards != 0)
    return op->emitOpError("expected the number of shards to divide dimension ")
           << dim << " of size " << type.getDimSize(dim) << ", but got " << shards;
  return success();
}

LogicalResult AllGatherOp::verify() {
  return verifyDivision(*this, getOutput(), static_cast<int32_t>(getDim()),
                        static_cast<int32_t>(getShards()));
}

LogicalResult ReduceScatterOp::verify() {
  return verifyDivision(*this, getInput(), static_cast<int32_t>(getDim()),
                        static_cast<int32_t>(getShards()));
}

LogicalResult SendOp::verify() { return verifyRank(*this, "to", static_cast<int32_t>(getTo())); }

LogicalResult RecvOp::verify() {
  if (failed(verifyRank(*this, "from", static_cast<int32_t>(getFrom()))))
    return failure();
  // (SH-12)
  int64_t dynamic = getShapedType(getOutput()).getNumDynamicDims();
  if (static_cast<int64_t>(getSizes().size()) != dynamic)
    return emitOpError("expected a size for each of ")
           << dynamic << " dynamic dimensions, but got " << getSizes().size();
  return success();
}
