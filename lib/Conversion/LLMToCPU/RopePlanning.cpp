// Planning rotations: one table of angles for all layers, and the calls that rotate, alone or with
// the store of keys and values.

#include "StepPlanner.h"

namespace mlir::llm {

/// The table of angles of a rotation, whose call stands before all others.
template <typename OpTy> FailureOr<BufferOperand> StepPlanner::getRopeTable(OpTy op) {
  double theta = op.getTheta().convertToDouble();
  int64_t rotaryDim = op.getRotaryDim();
  FailureOr<InputOperand> positions = getInput(op, op.getPositions());
  if (failed(positions))
    return failure();
  int64_t factors = -1;
  if (FlatSymbolRefAttr symbol = op.getFrequencyFactorsAttr()) {
    FailureOr<WeightInfo> weight = getWeight(op, symbol);
    if (failed(weight))
      return failure();
    factors = weight->offset;
  }
  RopeScalingAttr scaling = op.getScalingAttr();
  auto key = std::make_tuple(llvm::bit_cast<uint64_t>(theta), rotaryDim, factors,
                             scaling ? scaling.getAsOpaquePointer() : nullptr);
  auto [entry, isNew] = ropeTables.try_emplace(key);
  if (!isNew)
    return entry->second;
  // Lives for the whole step: every layer reads it.
  int64_t stride = roundUpToPanel(rotaryDim);
  BufferOperand table;
  table.bytesPerItem = buffers[createBuffer(stride * 4)].offset;
  table.type = KernelLibrary::rowsType(Float32Type::get(library.context()), rotaryDim, stride);
  entry->second = table;
  RopeTableKernel kernel{theta, rotaryDim, factors >= 0, table.type};
  if (scaling) {
    for (int64_t pair = 0; pair < rotaryDim / 2; ++pair)
      kernel.frequencies.push_back(scaling.getFrequency(theta, rotaryDim, pair));
    kernel.magnitude = scaling.getMagnitude();
  }
  PlanCall call;
  call.function = getKernel(library, kernel);
  call.operands = {*positions};
  if (factors >= 0)
    call.operands.append({InputOperand{StepInput::Weights, 0, {}}, ConstantOperand{factors}});
  call.operands.push_back(table);
  // First of all calls, so that the layers are alike.
  result.calls.insert(result.calls.begin(), std::move(call));
  return table;
}

LogicalResult StepPlanner::planRopeTables() {
  WalkResult result = step.walk([&](Operation *op) {
    bool isPlanned = true;
    if (auto rope = dyn_cast<RopeOp>(op))
      isPlanned = succeeded(getRopeTable(rope));
    else if (auto store = dyn_cast<RopeStoreKVOp>(op))
      isPlanned = succeeded(getRopeTable(store));
    return isPlanned ? WalkResult::advance() : WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

/// The rotation of one input of an op.
template <typename OpTy>
static RopeKernel makeKernel(OpTy op, Value input, MemRefType table, MemRefType from,
                             MemRefType to) {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(input.getType()).getShape();
  return {shape[1], shape[2], op.getRotaryDim(), op.getStyle() == RopeStyle::Interleaved, table,
          from,     to};
}

LogicalResult StepPlanner::plan(RopeOp op) {
  FailureOr<BufferOperand> table = getRopeTable(op);
  if (failed(table))
    return failure();
  for (auto [input, output] : llvm::zip_equal(op.getInputs(), op.getOutputs())) {
    FailureOr<Place> from = getPlace(op, input);
    if (failed(from))
      return failure();
    // A head is rotated in place unless somebody else reads it before the rotation.
    Place to = input.hasOneUse() ? aliasRows(output, *from) : createRows(output, columnsOf(output));
    RopeKernel kernel = makeKernel(op, input, table->type, from->operand.type, to.operand.type);
    addCall(getKernel(library, kernel), Partition::Tokens, {*table, from->operand, to.operand});
  }
  return success();
}

LogicalResult StepPlanner::plan(RopeStoreKVOp op) {
  FailureOr<BufferOperand> table = getRopeTable(op);
  FailureOr<Place> keys = getPlace(op, op.getKeys());
  FailureOr<Place> values = getPlace(op, op.getValues());
  FailureOr<int64_t> cache = getCache(op, op.getCache());
  FailureOr<InputOperand> slots = getInput(op, op.getSlots());
  if (failed(table) || failed(keys) || failed(values) || failed(cache) || failed(slots))
    return failure();
  caches[op.getNewCache()] = *cache;

  RopeStoreKVKernel kernel;
  kernel.layout = cast<PagedKVCacheType>(op.getCache().getType()).getLayout();
  SmallVector<PlanOperand> operands = {*table};
  for (auto [input, output] : llvm::zip_equal(op.getQueries(), op.getRotated())) {
    FailureOr<Place> from = getPlace(op, input);
    if (failed(from))
      return failure();
    Place to = input.hasOneUse() ? aliasRows(output, *from) : createRows(output, columnsOf(output));
    kernel.queries.push_back(
        makeKernel(op, input, table->type, from->operand.type, to.operand.type));
    operands.append({from->operand, to.operand});
  }
  // Rotated keys are read by nobody else: in place, or in rows that are given back.
  BufferOperand rotated = keys->operand;
  std::optional<size_t> temporary;
  if (!op.getKeys().hasOneUse()) {
    int64_t columns = columnsOf(op.getKeys()), stride = roundUpToPanel(columns);
    temporary = createBuffer(stride * 4);
    rotated = BufferOperand();
    rotated.bytesPerItem = buffers[*temporary].offset;
    rotated.type = KernelLibrary::rowsType(Float32Type::get(library.context()), columns, stride);
  }
  kernel.keys = makeKernel(op, op.getKeys(), table->type, keys->operand.type, rotated.type);
  kernel.values = values->operand.type;
  operands.append({keys->operand, rotated, values->operand,
                   InputOperand{StepInput::CacheBase, *cache, {}}, *slots,
                   ConstantOperand{op.getLayer()}});
  PlanCall &call = addCall(getKernel(library, kernel), Partition::Tokens, {});
  call.operands = std::move(operands);
  addScales(call, kernel.layout, *cache);
  if (temporary)
    tokenArea.release(buffers[*temporary].offset);
  return success();
}

} // namespace mlir::llm
