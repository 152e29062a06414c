// Verification and inference of the transformer ops.

#include "OpAssembly.h"
#include "VerifyHelpers.h"

using namespace mlir;
using namespace mlir::llm;

#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/TransformerOps.cpp.inc"

static RankedTensorType getTensorType(Value value) {
  return cast<RankedTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// EmbeddingOp
//===----------------------------------------------------------------------===//

LogicalResult EmbeddingOp::verify() {
  // (EMB-1)
  return verifyDim(*this, "output", getOutput(), 0, getTensorType(getTokens()).getDimSize(0),
                   "the number of tokens");
}

LogicalResult EmbeddingOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  WeightOp weight = lookupMatrixOrEmit(*this, "weight", getWeightAttr(),
                                       getNumFeatures(getTensorType(getOutput())), symbolTable);
  if (!weight)
    return failure();
  // (EMB-2)
  if (weight.getNumSources() != 1)
    return emitOpError("expected 'weight' to have one source, but got ") << weight.getNumSources();
  return success();
}

//===----------------------------------------------------------------------===//
// RMSNormOp
//===----------------------------------------------------------------------===//

LogicalResult RMSNormOp::verify() {
  // (NORM-1)
  if (!(getEpsilon().convertToDouble() >= 0))
    return emitOpError("expected 'epsilon' not to be negative, but got ")
           << getEpsilon().convertToDouble();
  return success();
}

LogicalResult RMSNormOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  return verifyVector(*this, "weight", getWeightAttr(), getNumFeatures(getTensorType(getInput())),
                      symbolTable);
}

//===----------------------------------------------------------------------===//
// LayerNormOp
//===----------------------------------------------------------------------===//

LogicalResult LayerNormOp::verify() {
  // (NORM-2)
  if (!(getEpsilon().convertToDouble() >= 0))
    return emitOpError("expected 'epsilon' not to be negative, but got ")
           << getEpsilon().convertToDouble();
  return success();
}

LogicalResult LayerNormOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  int64_t features = getNumFeatures(getTensorType(getInput()));
  if (failed(verifyVector(*this, "weight", getWeightAttr(), features, symbolTable)))
    return failure();
  if (!getBiasAttr())
    return success();
  return verifyVector(*this, "bias", getBiasAttr(), features, symbolTable);
}

//===----------------------------------------------------------------------===//
// LinearOp
//===----------------------------------------------------------------------===//

void LinearOp::build(OpBuilder &builder, OperationState &state, TypeRange outputs, Value input,
                     FlatSymbolRefAttr weight) {
  build(builder, state, outputs, input, /*residual=*/Value(), weight.getValue(),
        /*bias=*/FlatSymbolRefAttr(), /*norm_weight=*/FlatSymbolRefAttr(),
        /*norm_epsilon=*/FloatAttr(), Epilogue::None, /*activation_type=*/TypeAttr());
}

LogicalResult LinearOp::verify() {
  // (LIN-1)
  if (getOutputs().empty())
    return emitOpError("expected at least one result");
  // (LIN-2)
  int64_t tokens = getTensorType(getInput()).getDimSize(0);
  for (Value output : getOutputs())
    if (failed(verifyDim(*this, "outputs", output, 0, tokens, "the number of tokens")))
      return failure();
  if (failed(verifyFusedNorm(*this, getNormWeightAttr(), getNormEpsilonAttr())) ||
      failed(verifyActivationType(*this, getActivationType(),
                                  getNumFeatures(getTensorType(getInput())))))
    return failure();
  // (LIN-3)
  if (getEpilogue() == Epilogue::SwiGLU && getOutputs().size() != 1)
    return emitOpError("expected one result with epilogue swiglu, but got ") << getOutputs().size();
  if (!getResidual())
    return success();
  // (LIN-4)
  if (getOutputs().size() != 1)
    return emitOpError("expected one result with a residual, but got ") << getOutputs().size();
  // (LIN-5)
  if (getResidual().getType() != getOutputs().front().getType())
    return emitOpError("expected the residual to have the result's type ")
           << getOutputs().front().getType() << ", but got " << getResidual().getType();
  return success();
}

/// The sources of the weight against the results and the epilogue.
static LogicalResult verifySources(LinearOp op, WeightOp weight) {
  int64_t sources = weight.getNumSources();
  bool interleaved = weight.getArrangement() == Arrangement::Interleave;
  if (op.getEpilogue() == Epilogue::SwiGLU) {
    // (LIN-6)
    if (sources != 2 || !interleaved)
      return op.emitOpError("expected a weight of 2 interleaved sources with epilogue swiglu, but ")
             << op.getWeightAttr() << " has " << sources
             << (interleaved ? " interleaved" : " concatenated");
    return success();
  }
  // (LIN-7)
  if (interleaved)
    return op.emitOpError("expected a weight of concatenated sources without epilogue swiglu, but ")
           << op.getWeightAttr() << " is interleaved";
  // (LIN-8)
  if (sources != static_cast<int64_t>(op.getOutputs().size()))
    return op.emitOpError("expected one result for each of the ")
           << sources << " sources of " << op.getWeightAttr() << ", but got "
           << op.getOutputs().size();
  return success();
}

/// Each result against the rows of its source, where the weight spells them out. All results have
/// known features.
static LogicalResult verifySourceRows(LinearOp op, WeightOp weight) {
  std::optional<ArrayRef<int64_t>> rows = weight.getSourceRows();
  if (!rows || op.getEpilogue() == Epilogue::SwiGLU)
    return success();
  // (LIN-10)
  for (auto [index, output, expected] : llvm::enumerate(op.getOutputs(), *rows)) {
    int64_t features = getNumFeatures(getTensorType(output));
    if (features != expected)
      return op.emitOpError("expected result ")
             << index << " to have " << expected << " features, the rows of its source in "
             << op.getWeightAttr() << ", but got " << features;
  }
  return success();
}

LogicalResult LinearOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  int64_t inputFeatures = getNumFeatures(getTensorType(getInput()));
  WeightOp weight =
      lookupMatrixOrEmit(*this, "weight", getWeightAttr(), inputFeatures, symbolTable);
  if (!weight || failed(verifySources(*this, weight)))
    return failure();
  if (getNormWeightAttr() &&
      failed(verifyVector(*this, "norm_weight", getNormWeightAttr(), inputFeatures, symbolTable)))
    return failure();
  if (getBiasAttr() &&
      failed(verifyVector(*this, "bias", getBiasAttr(), weight.getRows(), symbolTable)))
    return failure();
  // (LIN-9)
  int64_t features = 0;
  for (Value output : getOutputs()) {
    int64_t count = getNumFeatures(getTensorType(output));
    if (ShapedType::isDynamic(count))
      return success();
    features += count;
  }
  int64_t expected = getEpilogue() == Epilogue::SwiGLU ? weight.getRows() / 2 : weight.getRows();
  if (features != expected)
    return emitOpError("expected results with ")
           << expected << " features in all, as " << getWeightAttr() << " with " << weight.getRows()
           << " rows gives, but got " << features;
  return verifySourceRows(*this, weight);
}

//===----------------------------------------------------------------------===//
// RopeOp
//===----------------------------------------------------------------------===//

void RopeOp::build(OpBuilder &builder, OperationState &state, TypeRange outputs, ValueRange inputs,
                   Value positions, APFloat theta, uint32_t rotaryDim, RopeStyle style,
                   FlatSymbolRefAttr frequencyFactors) {
  build(builder, state, outputs, inputs, positions, theta, rotaryDim, style, frequencyFactors,
        /*scaling=*/RopeScalingAttr());
}

LogicalResult RopeOp::inferReturnTypes(MLIRContext *, std::optional<Location>, ValueRange operands,
                                       DictionaryAttr, OpaqueProperties, RegionRange,
                                       SmallVectorImpl<Type> &types) {
  // (ROPE-6)
  if (operands.empty())
    return failure();
  llvm::append_range(types, operands.drop_back().getTypes());
  return success();
}

LogicalResult llm::verifyRotation(Operation *op, const Rotation &rotation, StringRef name,
                                  ValueRange inputs) {
  // (ROPE-2)
  int64_t rotaryDim = rotation.rotaryDim;
  if (rotaryDim < 2 || rotaryDim % 2 != 0)
    return op->emitOpError("expected 'rotary_dim' to be even and positive, but got ") << rotaryDim;
  // (ROPE-3)
  double theta = rotation.theta.convertToDouble();
  if (!(theta > 0))
    return op->emitOpError("expected 'theta' to be positive, but got ") << theta;
  // (ROPE-7)
  if (rotation.scaling && rotation.scaling.getKind() == RopeScalingKind::LongRoPE &&
      !rotation.frequencyFactors)
    return op->emitOpError("expected 'frequency_factors' with scaling longrope");
  int64_t tokens = getTensorType(rotation.positions).getDimSize(0);
  for (Value input : inputs) {
    // (ROPE-4)
    int64_t headDim = getTensorType(input).getDimSize(2);
    if (!ShapedType::isDynamic(headDim) && rotaryDim > headDim)
      return op->emitOpError("expected 'rotary_dim' to be at most the head size ")
             << headDim << ", but got " << rotaryDim;
    // (ROPE-5)
    if (failed(verifyDim(op, name, input, 0, tokens, "the number of positions")))
      return failure();
  }
  return success();
}

LogicalResult RopeOp::verify() {
  // (ROPE-1)
  if (getInputs().empty())
    return emitOpError("expected at least one input");
  return verifyRotation(*this,
                        {static_cast<int32_t>(getRotaryDim()), getTheta(), getScalingAttr(),
                         getFrequencyFactorsAttr(), getPositions()},
                        "inputs", getInputs());
}

LogicalResult RopeOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  if (!getFrequencyFactorsAttr())
    return success();
  return verifyVector(*this, "frequency_factors", getFrequencyFactorsAttr(), getRotaryDim() / 2,
                      symbolTable);
}

//===----------------------------------------------------------------------===//
// MoEOp
//===----------------------------------------------------------------------===//

LogicalResult MoEOp::verify() {
  // (MOE-1)
  int64_t experts = static_cast<int32_t>(getNumExperts());
  int64_t used = static_cast<int32_t>(getExpertsPerToken());
  if (used < 1 || used > experts)
    return emitOpError("expected a token to use 1 to ") << experts << " experts, but got " << used;
  // (MOE-2)
  if (getScale() && !(getScale()->convertToDouble() > 0))
    return emitOpError("expected 'scale' to be positive, but got ")
           << getScale()->convertToDouble();
  return verifyActivationType(*this, getActivationType(),
                              getNumFeatures(getTensorType(getInput())));
}

LogicalResult MoEOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  int64_t features = getNumFeatures(getTensorType(getInput()));
  int64_t experts = static_cast<int32_t>(getNumExperts());
  WeightOp router = lookupMatrixOrEmit(*this, "router", getRouterAttr(), features, symbolTable);
  if (!router)
    return failure();
  WeightOp gate = lookupMatrixOrEmit(*this, "gate", getGateAttr(), features, symbolTable);
  if (!gate)
    return failure();
  WeightOp up = lookupMatrixOrEmit(*this, "up", getUpAttr(), features, symbolTable);
  if (!up)
    return failure();
  // (MOE-3)
  auto verifyRows = [&](StringRef role, WeightOp weight, int64_t rows) -> LogicalResult {
    if (mayBeEqual(weight.getRows(), rows))
      return success();
    return emitOpError("expected '")
           << role << "' " << FlatSymbolRefAttr::get(weight) << " to have " << rows
           << " rows, but got " << weight.getRows();
  };
  if (failed(verifyRows("router", router, experts)) || failed(verifyRows("up", up, gate.getRows())))
    return failure();
  // (MOE-4)
  if (gate.getRows() % experts != 0)
    return emitOpError("expected the rows of 'gate' ")
           << getGateAttr() << " to be a multiple of the " << experts << " experts, but got "
           << gate.getRows();
  WeightOp down =
      lookupMatrixOrEmit(*this, "down", getDownAttr(), gate.getRows() / experts, symbolTable);
  if (!down)
    return failure();
  if (!ShapedType::isDynamic(features) && failed(verifyRows("down", down, experts * features)))
    return failure();
  if (!getSelectionBiasAttr())
    return success();
  return verifyVector(*this, "selection_bias", getSelectionBiasAttr(), experts, symbolTable);
}

//===----------------------------------------------------------------------===//
// LogitsOp
//===----------------------------------------------------------------------===//

void LogitsOp::build(OpBuilder &builder, OperationState &state, Type output, Value input,
                     Value rows, FlatSymbolRefAttr weight) {
  build(builder, state, output, input, rows, weight, /*norm_weight=*/FlatSymbolRefAttr(),
        /*norm_epsilon=*/FloatAttr(), /*activation_type=*/TypeAttr());
}

LogicalResult LogitsOp::verify() {
  // (LOG-1)
  if (failed(verifyDim(*this, "output", getOutput(), 0, getTensorType(getRows()).getDimSize(0),
                       "the number of rows")))
    return failure();
  if (failed(verifyFusedNorm(*this, getNormWeightAttr(), getNormEpsilonAttr())))
    return failure();
  return verifyActivationType(*this, getActivationType(),
                              getNumFeatures(getTensorType(getInput())));
}

LogicalResult LogitsOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  int64_t inputFeatures = getNumFeatures(getTensorType(getInput()));
  WeightOp weight =
      lookupMatrixOrEmit(*this, "weight", getWeightAttr(), inputFeatures, symbolTable);
  if (!weight)
    return failure();
  // (LOG-2)
  if (weight.getNumSources() != 1)
    return emitOpError("expected 'weight' to have one source, but got ") << weight.getNumSources();
  // (LOG-3)
  if (failed(verifyDim(*this, "output", getOutput(), 1, weight.getRows(),
                       "the number of rows of 'weight',")))
    return failure();
  if (!getNormWeightAttr())
    return success();
  return verifyVector(*this, "norm_weight", getNormWeightAttr(), inputFeatures, symbolTable);
}

//===----------------------------------------------------------------------===//
// SampleOp
//===----------------------------------------------------------------------===//

LogicalResult SampleOp::inferReturnTypes(MLIRContext *context, std::optional<Location>,
                                         ValueRange operands, DictionaryAttr, OpaqueProperties,
                                         RegionRange, SmallVectorImpl<Type> &types) {
  // (SAM-1)
  auto logits =
      operands.empty() ? RankedTensorType() : dyn_cast<RankedTensorType>(operands[0].getType());
  if (!logits || logits.getRank() < 1)
    return failure();
  types.push_back(RankedTensorType::get({logits.getDimSize(0)}, IntegerType::get(context, 32)));
  return success();
}

LogicalResult SampleOp::verify() {
  int64_t rows = getTensorType(getLogits()).getDimSize(0);
  // (SAM-2)
  if (getUniforms() &&
      failed(verifyDim(*this, "uniforms", getUniforms(), 0, rows, "the number of rows")))
    return failure();
  // (SAM-3)
  if (!getUniforms() && (getTemperature() || getTopK() || getTopP() || getMinP()))
    return emitOpError("expected 'uniforms' with 'temperature', 'top_k', 'top_p' and 'min_p'");
  // (SAM-4)
  if (getTemperature() && !(getTemperature()->convertToDouble() > 0))
    return emitOpError("expected 'temperature' to be positive, but got ")
           << getTemperature()->convertToDouble();
  // (SAM-5)
  if (getTopK() && static_cast<int32_t>(*getTopK()) < 1)
    return emitOpError("expected 'top_k' to be positive, but got ")
           << static_cast<int32_t>(*getTopK());
  // (SAM-6)
  if (getTopP() && !(getTopP()->convertToDouble() > 0 && getTopP()->convertToDouble() <= 1))
    return emitOpError("expected 'top_p' to be above 0 and at most 1, but got ")
           << getTopP()->convertToDouble();
  // (SAM-7)
  if (getMinP() && !(getMinP()->convertToDouble() >= 0 && getMinP()->convertToDouble() <= 1))
    return emitOpError("expected 'min_p' to be in 0..1, but got ") << getMinP()->convertToDouble();
  return success();
}
