// Planning rotations: one table of angles for all layers, and the calls that rotate, alone or with
// the store of keys and values.

#include "StepPlanner.h"

#include "CacheOpKernels.h"

namespace mlir::llm {

using ::llmir::kPanelRows;

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

/// The attention that reads what `op` rotates and stores, and that follows it, so that each worker
/// may do for itself what its tasks read; null where there is none.
static PagedAttentionOp getFollowingAttention(RopeStoreKVOp op) {
  if (op.getQueries().size() != 1 || !op.getRotated()[0].hasOneUse() ||
      !op.getQueries()[0].hasOneUse() || !op.getKeys().hasOneUse() || !op.getValues().hasOneUse())
    return {};
  auto attention = dyn_cast<PagedAttentionOp>(*op.getRotated()[0].user_begin());
  if (!attention || attention.getQuery() != op.getRotated()[0] ||
      attention.getCache() != op.getNewCache() || attention.getLayerIndex() ||
      attention.getLayer() != op.getLayer() || attention->getBlock() != op->getBlock())
    return {};
  for (Operation *between = op->getNextNode(); between != attention;
       between = between->getNextNode())
    if (!isa<LoadWeightOp>(between))
      return {};
  return attention;
}

/// Where the panels of each KV head's queries, keys and values lie, when an op computes all three
/// for an attention that follows.
void StepPlanner::shareByHeads(LinearOp op, const WeightLayout &layout, PlanCall &call) {
  if (op.getNumResults() != 3 || !op.getOutputs()[0].hasOneUse())
    return;
  auto store = dyn_cast<RopeStoreKVOp>(*op.getOutputs()[0].user_begin());
  if (!store || !getFollowingAttention(store) || store.getQueries()[0] != op.getOutputs()[0] ||
      store.getKeys() != op.getOutputs()[1] || store.getValues() != op.getOutputs()[2] ||
      op->getNextNode() != store)
    return;
  int64_t heads = cast<PagedKVCacheType>(store.getCache().getType()).getLayout().num_kv_heads;
  SmallVector<HeadTiles> tiles;
  for (auto [source, output] : llvm::enumerate(op.getOutputs())) {
    int64_t perHead = columnsOf(output) / heads;
    if (perHead % kPanelRows != 0)
      return;
    tiles.push_back({layout.getFirstPackedRow(source) / kPanelRows, perHead / kPanelRows});
  }
  call.headTiles = std::move(tiles);
  call.kvHeads = heads;
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
  PagedAttentionOp attention = getFollowingAttention(op);
  SmallVector<PlanOperand> operands = {*table};
  for (auto [input, output] : llvm::zip_equal(op.getQueries(), op.getRotated())) {
    FailureOr<Place> from = getPlace(op, input);
    if (failed(from))
      return failure();
    Place to = input.hasOneUse() ? aliasRows(output, *from) : createRows(output, columnsOf(output));
    if (attention) // Rows of its own for each worker of a small batch, of keys and queries alike.
      places[output].operand.privateOffset = to.operand.privateOffset = 0;
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
  if (attention) {
    // Behind the queries, unless they are columns of the same rows.
    BufferOperand query = std::get<BufferOperand>(operands.back());
    int64_t queryBytes = KernelLibrary::rowStride(query.type) * 4 * kSmallBatch;
    bool sharesRows = query.bytesPerItem == rotated.bytesPerItem;
    rotated.privateOffset = sharesRows ? 0 : queryBytes;
    int64_t keyBytes = KernelLibrary::rowStride(rotated.type) * 4 * kSmallBatch;
    privateBytes = std::max({privateBytes, queryBytes, rotated.privateOffset + keyBytes});
    kernel.before = getAttentionKernel(attention, query.type, query.type);
  }
  kernel.keys = makeKernel(op, op.getKeys(), table->type, keys->operand.type, rotated.type);
  kernel.values = values->operand.type;
  operands.append({keys->operand, rotated, values->operand,
                   InputOperand{StepInput::CacheBase, *cache, {}}, *slots,
                   ConstantOperand{op.getLayer()}});
  PlanCall &call = addCall(getKernel(library, kernel),
                           attention ? Partition::RoundRobin : Partition::Tokens, {});
  call.operands = std::move(operands);
  addScales(call, kernel.layout, *cache);
  if (attention) {
    FailureOr<InputOperand> lengths = getInput(op, attention.getSeqLens());
    FailureOr<InputOperand> cuLengths = getInput(op, attention.getCuLengths());
    if (failed(lengths) || failed(cuLengths))
      return failure();
    call.prepares = true;
    call.operands.append({InputOperand{StepInput::NumTokens, 0, {}}, *lengths, *cuLengths,
                          InputOperand{StepInput::NumSequences, 0, {}}});
    if (Value value = attention.getPositions()) {
      FailureOr<InputOperand> positions = getInput(op, value);
      if (failed(positions))
        return failure();
      call.operands.push_back(*positions);
    }
  }
  if (temporary)
    tokenArea.release(buffers[*temporary].offset);
  return success();
}

} // namespace mlir::llm
