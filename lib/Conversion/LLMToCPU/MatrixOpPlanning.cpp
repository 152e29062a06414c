// Planning matrix ops: their activations (prepared once for all consumers) and their products.

#include "StepPlanner.h"

namespace mlir::llm {

using ::llmir::kPanelRows;

FailureOr<ActivationType> StepPlanner::getActivationType(Operation *op, std::optional<Type> type,
                                                         const WeightInfo &weight) {
  if (!type || type->isF32())
    return ActivationType::F32;
  if (type->isBF16())
    return ActivationType::BF16;
  if (!type->isInteger(8)) {
    op->emitOpError("expected activations of type f32, bf16 or i8, but got ") << *type;
    return failure();
  }
  if (!weight.layout.getMatrix().isQuantized()) {
    op->emitOpError("expected a quantised weight with i8 activations, but got a plain one");
    return failure();
  }
  return ActivationType::I8;
}

FailureOr<StepPlanner::Activations> StepPlanner::planActivations(Operation *op, const Place &input,
                                                                 const Prologue &prologue) {
  Activations activations{prologue.kind, {}, {}};
  if (prologue.kind == ActivationType::F32 && !prologue.normWeight && !prologue.rows) {
    activations.operands.push_back(input.operand);
    return activations;
  }
  MLIRContext *context = library.context();
  SmallVector<MemRefType> types;
  if (prologue.kind == ActivationType::I8) {
    QuantizedRows rows = QuantizedRows::get(context, prologue.columns, prologue.groupSize);
    types = {rows.codes, rows.scales, rows.sums};
  } else if (prologue.inPairs) {
    constexpr int64_t kPerLine = 32;
    int64_t columns = (prologue.columns + 1) / 2 * 2;
    int64_t stride = (columns + kPerLine - 1) / kPerLine * kPerLine;
    types = {KernelLibrary::rowsType(BFloat16Type::get(context), columns, stride)};
  } else {
    int64_t stride = (prologue.columns + kPanelRows - 1) / kPanelRows * kPanelRows;
    types = {KernelLibrary::rowsType(Float32Type::get(context), prologue.columns, stride)};
  }
  bool overRows = prologue.rows.has_value();
  int64_t privateOffset = 0;
  for (MemRefType type : types) {
    int64_t bytes = KernelLibrary::rowStride(type) * type.getElementTypeBitWidth() / 8;
    BufferOperand operand;
    operand.type = type;
    operand.privateOffset = privateOffset;
    privateOffset += bytes * kSmallBatch;
    if (overRows) {
      operand.count = Count::Rows;
      operand.bytesPerItem = rowArea.allocate(bytes);
    } else {
      activations.temporaries.push_back(createBuffer(bytes));
      operand.bytesPerItem = buffers[activations.temporaries.back()].offset;
    }
    activations.operands.push_back(operand);
  }
  privateBytes = std::max(privateBytes, privateOffset);

  ActivationKernel kernel{prologue.kind,      overRows, std::nullopt,
                          input.operand.type, types[0], prologue.groupSize};
  SmallVector<PlanOperand> operands;
  int64_t bytes = 0;
  if (overRows)
    operands.push_back(*prologue.rows);
  operands.push_back(input.operand);
  if (prologue.normWeight) {
    FailureOr<WeightInfo> weight = getWeight(op, prologue.normWeight);
    if (failed(weight))
      return failure();
    kernel.epsilon = prologue.epsilon->convertToDouble();
    operands.append({InputOperand{StepInput::Weights, 0, {}}, ConstantOperand{weight->offset}});
    bytesRead += weight->layout.getTotalBytes();
    bytes = weight->layout.getTotalBytes();
  }
  operands.append(activations.operands.begin(), activations.operands.end());
  PlanCall &call =
      addCall(getKernel(library, kernel), overRows ? Partition::Rows : Partition::Tokens, {});
  call.operands = std::move(operands);
  call.cost.bytes = bytes;
  call.redundant = true;
  return activations;
}

/// What multiplies activations of a kind, as a profile names it.
static StringRef unitOf(ActivationType kind) {
  switch (kind) {
  case ActivationType::F32:
    return "f32";
  case ActivationType::BF16:
    return "bf16";
  case ActivationType::I8:
    return "int8";
  }
  llvm_unreachable("unknown activation type");
}

LogicalResult StepPlanner::plan(LinearOp op) {
  FailureOr<Place> input = getPlace(op, op.getInput());
  FailureOr<WeightInfo> weight = getWeight(op, op.getWeightAttr());
  if (failed(input) || failed(weight))
    return failure();
  FailureOr<ActivationType> kind = getActivationType(op, op.getActivationType(), *weight);
  if (failed(kind))
    return failure();
  const ::llmir::PackedLayout &layout = weight->layout.getMatrix();
  FailureOr<Activations> activations = planActivations(
      op, *input,
      {*kind, std::nullopt, op.getNormWeightAttr(), op.getNormEpsilon(), layout.cols,
       multipliesPairs(library.target(), *kind, layout.format), layout.groupSize});
  if (failed(activations))
    return failure();

  // One buffer for all results, side by side in whole panels; a residual is updated in place when
  // nobody else reads it.
  bool isGated = op.getEpilogue() == Epilogue::SwiGLU;
  int64_t tiles = layout.panels() / (isGated ? 2 : 1);
  int64_t stride = tiles * kPanelRows;
  Type f32 = Float32Type::get(library.context());
  std::optional<Place> residual;
  if (op.getResidual()) {
    FailureOr<Place> place = getPlace(op, op.getResidual());
    if (failed(place))
      return failure();
    residual = *place;
  }
  BufferOperand output;
  output.type = KernelLibrary::rowsType(f32, stride, stride);
  bool inPlace = residual && isLastUse(*residual) && residual->operand.column == 0 &&
                 KernelLibrary::rowStride(residual->operand.type) == stride;
  size_t buffer = inPlace ? residual->buffer : createBuffer(stride * 4);
  output.bytesPerItem = buffers[buffer].offset;
  for (auto [source, value] : llvm::enumerate(op.getOutputs())) {
    BufferOperand view = output;
    view.column = op.getNumResults() == 1 ? 0 : weight->layout.getFirstPackedRow(source);
    int64_t columns = 1;
    for (int64_t size : cast<RankedTensorType>(value.getType()).getShape().drop_front())
      columns *= size;
    view.type = KernelLibrary::rowsType(f32, columns, stride);
    aliasRows(value, {buffer, view});
  }

  LinearKernel kernel{layout,
                      *kind,
                      isGated ? LinearEpilogue::SwiGLU : LinearEpilogue::None,
                      op.getBias().has_value(),
                      activations->operands[0].type,
                      output.type,
                      stride,
                      residual ? residual->operand.type : MemRefType()};
  PlanCall &call = addCall(getKernel(library, kernel), Partition::Panels, {});
  call.tiles = tiles;
  if (!isGated)
    shareByHeads(op, weight->layout, call);
  call.operands.push_back(InputOperand{StepInput::NumTokens, 0, {}});
  call.operands.append(activations->operands.begin(), activations->operands.end());
  call.operands.append({InputOperand{StepInput::Weights, 0, {}}, ConstantOperand{weight->offset}});
  bytesRead += weight->layout.getTotalBytes();
  call.cost.unit = unitOf(*kind);
  call.cost.bytes = weight->layout.getTotalBytes();
  call.cost.operationsPerToken = 2 * layout.rows * layout.cols;
  if (FlatSymbolRefAttr symbol = op.getBiasAttr()) {
    FailureOr<WeightInfo> bias = getWeight(op, symbol);
    if (failed(bias))
      return failure();
    call.operands.push_back(ConstantOperand{bias->offset});
    bytesRead += bias->layout.getTotalBytes();
  }
  call.operands.push_back(output);
  if (residual)
    call.operands.push_back(residual->operand);
  for (size_t temporary : activations->temporaries)
    tokenArea.release(buffers[temporary].offset);
  return success();
}

LogicalResult StepPlanner::plan(LogitsOp op) {
  FailureOr<Place> input = getPlace(op, op.getInput());
  FailureOr<InputOperand> rows = getInput(op, op.getRows());
  FailureOr<WeightInfo> weight = getWeight(op, op.getWeightAttr());
  if (failed(input) || failed(rows) || failed(weight))
    return failure();
  FailureOr<ActivationType> kind = getActivationType(op, op.getActivationType(), *weight);
  if (failed(kind))
    return failure();
  const ::llmir::PackedLayout &layout = weight->layout.getMatrix();
  FailureOr<Activations> activations =
      planActivations(op, *input,
                      {*kind, *rows, op.getNormWeightAttr(), op.getNormEpsilon(), layout.cols,
                       multipliesPairs(library.target(), *kind, layout.format), layout.groupSize});
  if (failed(activations))
    return failure();
  int64_t columns = layout.rows;
  InputOperand logits{
      StepInput::Logits, 0,
      KernelLibrary::rowsType(Float32Type::get(library.context()), columns, columns)};
  LinearKernel kernel{
      layout,      *kind,   LinearEpilogue::None, /*bias=*/false, activations->operands[0].type,
      logits.type, columns, MemRefType()};
  PlanCall &call = addCall(getKernel(library, kernel), Partition::Panels, {});
  call.tiles = layout.panels();
  call.count = Count::Rows;
  call.operands.push_back(InputOperand{StepInput::NumRows, 0, {}});
  call.operands.append(activations->operands.begin(), activations->operands.end());
  call.operands.append(
      {InputOperand{StepInput::Weights, 0, {}}, ConstantOperand{weight->offset}, logits});
  call.cost.unit = unitOf(*kind);
  call.cost.bytes = weight->layout.getTotalBytes();
  call.cost.operationsPerRow = 2 * layout.rows * layout.cols;
  bytesRead += weight->layout.getTotalBytes();
  return success();
}

} // namespace mlir::llm
