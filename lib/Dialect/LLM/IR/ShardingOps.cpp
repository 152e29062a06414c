// Verification of products over several ranks and of the exchange between them.

#include "OpAssembly.h"
#include "VerifyHelpers.h"

using namespace mlir;
using namespace mlir::llm;

#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/ShardingOps.cpp.inc"

static RankedTensorType getTensorType(Value value) {
  return cast<RankedTensorType>(value.getType());
}

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
  if (getSplit() == ShardSplit::Output)
    return;
  effects.emplace_back(MemoryEffects::Read::get(), CollectiveResource::get());
  effects.emplace_back(MemoryEffects::Write::get(), CollectiveResource::get());
}

LogicalResult ShardedLinearOp::verify() {
  if (failed(verifyShards(*this, static_cast<int32_t>(getShards()))))
    return failure();
  // (SH-3)
  if (failed(verifyDim(*this, "output", getOutput(), 0, getTensorType(getInput()).getDimSize(0),
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
                              getNumFeatures(getTensorType(getInput())));
}

LogicalResult ShardedLinearOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  int64_t shards = static_cast<int32_t>(getShards());
  bool splitsInput = getSplit() == ShardSplit::Input;
  int64_t inputFeatures = getNumFeatures(getTensorType(getInput()));
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
  int64_t outputFeatures = getNumFeatures(getTensorType(getOutput()));
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

/// A whole tensor against a shard of it along `dim`.
static LogicalResult verifyShard(Operation *op, Value whole, Value shard, int64_t dim,
                                 int32_t shards) {
  if (failed(verifyShards(op, shards)))
    return failure();
  RankedTensorType wholeType = getTensorType(whole);
  RankedTensorType shardType = getTensorType(shard);
  // (SH-9)
  if (wholeType.getRank() != shardType.getRank() ||
      wholeType.getElementType() != shardType.getElementType())
    return op->emitOpError("expected tensors of one rank and element type, but got ")
           << wholeType << " and " << shardType;
  // (SH-10)
  if (dim < 0 || dim >= wholeType.getRank())
    return op->emitOpError("expected 'dim' to be less than the rank ")
           << wholeType.getRank() << ", but got " << dim;
  // (SH-11)
  for (int64_t i = 0; i < wholeType.getRank(); ++i) {
    int64_t size = shardType.getDimSize(i);
    int64_t expected = i == dim && !ShapedType::isDynamic(size) ? size * shards : size;
    if (!mayBeEqual(wholeType.getDimSize(i), expected))
      return op->emitOpError("expected dimension ")
             << i << " of the whole to be " << expected << " for shards of " << shardType
             << ", but got " << wholeType.getDimSize(i);
  }
  return success();
}

LogicalResult AllGatherOp::verify() {
  return verifyShard(*this, getOutput(), getInput(), static_cast<int32_t>(getDim()),
                     static_cast<int32_t>(getShards()));
}

LogicalResult ReduceScatterOp::verify() {
  return verifyShard(*this, getInput(), getOutput(), static_cast<int32_t>(getDim()),
                     static_cast<int32_t>(getShards()));
}

LogicalResult SendOp::verify() { return verifyRank(*this, "to", static_cast<int32_t>(getTo())); }

LogicalResult RecvOp::verify() {
  if (failed(verifyRank(*this, "from", static_cast<int32_t>(getFrom()))))
    return failure();
  // (SH-12)
  int64_t dynamic = getTensorType(getOutput()).getNumDynamicDims();
  if (static_cast<int64_t>(getSizes().size()) != dynamic)
    return emitOpError("expected a size for each of ")
           << dynamic << " dynamic dimensions, but got " << getSizes().size();
  return success();
}
