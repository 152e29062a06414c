// Planning a step: arguments, places of values, and the ops over rows and caches. Matrix ops are in
// MatrixOpPlanning.cpp, rotations in RopePlanning.cpp.

#include "StepPlanner.h"

#include "CPUOpChecks.h"
#include "CacheElements.h"
#include "CacheOpKernels.h"
#include "DenseAttention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::llm {

StepPlanner::StepPlanner(func::FuncOp step, KernelLibrary &library)
    : step(step), library(library), symbols(step->getParentOfType<ModuleOp>()) {}

int64_t StepPlanner::columnsOf(Value value) {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(value.getType()).getShape();
  int64_t columns = 1;
  for (int64_t size : shape.drop_front())
    columns *= size;
  return columns;
}

//===--- Arguments, places, weights -----------------------------------------------------------===//

LogicalResult StepPlanner::bindArguments() {
  FailureOr<StepArguments> bound = StepArguments::bind(step);
  if (failed(bound))
    return failure();
  for (auto [number, cache] : llvm::enumerate(bound->caches()))
    caches[cache] = static_cast<int64_t>(number);
  arguments = std::move(*bound);
  return success();
}

FailureOr<InputOperand> StepPlanner::getInput(Operation *op, Value value) {
  std::optional<InputOperand> found = arguments.find(value);
  if (!found)
    return op->emitOpError("expected an argument of the step as its index operand, but got ")
           << value;
  return *found;
}

FailureOr<StepPlanner::Place> StepPlanner::getPlace(Operation *op, Value value) {
  auto found = places.find(value);
  if (found == places.end())
    return op->emitOpError("expected an operand that an op of the step computes, but got ")
           << value;
  return found->second;
}

FailureOr<int64_t> StepPlanner::getCache(Operation *op, Value value) {
  auto found = caches.find(value);
  if (found == caches.end())
    return op->emitOpError("expected a cache that the step received, but got ") << value;
  return found->second;
}

FailureOr<StepPlanner::WeightInfo> StepPlanner::getWeight(Operation *op, FlatSymbolRefAttr symbol) {
  auto weight = symbols.lookup<WeightOp>(symbol.getAttr());
  if (!weight)
    return op->emitOpError("expected an llm.weight called ") << symbol;
  if (!weight.getOffset())
    return weight.emitOpError("expected an offset; run llm-choose-packed-layouts first");
  FailureOr<WeightLayout> layout = WeightLayout::get(weight);
  if (failed(layout))
    return failure();
  return WeightInfo{*layout, static_cast<int64_t>(*weight.getOffset())};
}

FailureOr<ConstantOperand> StepPlanner::getLayer(Operation *op, Value index, int64_t attribute) {
  if (index)
    return op->emitOpError("expected the layer as an attribute in a step, but got an operand");
  return ConstantOperand{attribute};
}

size_t StepPlanner::createBuffer(int64_t bytes) {
  buffers.push_back({tokenArea.allocate(bytes), 0});
  return buffers.size() - 1;
}

StepPlanner::Place StepPlanner::createRows(Value value, int64_t columns) {
  int64_t stride = roundUpToPanel(columns);
  size_t buffer = createBuffer(stride * 4);
  BufferOperand rows;
  rows.bytesPerItem = buffers[buffer].offset;
  rows.type = KernelLibrary::rowsType(Float32Type::get(library.context()), columns, stride);
  Place place{buffer, rows};
  return aliasRows(value, place);
}

StepPlanner::Place StepPlanner::aliasRows(Value value, const Place &place) {
  buffers[place.buffer].pendingUses +=
      static_cast<int64_t>(std::distance(value.use_begin(), value.use_end()));
  places[value] = place;
  return place;
}

/// Whether nobody but the op being planned, by one use, still reads the buffer.
bool StepPlanner::isLastUse(const Place &place) const {
  return buffers[place.buffer].pendingUses == 1;
}

void StepPlanner::releaseOperands(Operation *op) {
  for (Value operand : op->getOperands()) {
    auto found = places.find(operand);
    if (found != places.end() && --buffers[found->second.buffer].pendingUses == 0)
      tokenArea.release(buffers[found->second.buffer].offset);
  }
}

PlanCall &StepPlanner::addCall(func::FuncOp function, Partition partition,
                               std::initializer_list<PlanOperand> operands) {
  PlanCall call;
  call.function = function;
  call.partition = partition;
  call.operands.assign(operands.begin(), operands.end());
  result.calls.push_back(std::move(call));
  return result.calls.back();
}

//===--- The step -----------------------------------------------------------------------------===//

FailureOr<StepPlan> StepPlanner::plan() {
  if (failed(checkStepForCPU(step)) || failed(bindArguments()))
    return failure();
  // Tables of angles are written by the first calls, so their memory is taken before any other is
  // used and given back.
  if (failed(planRopeTables()))
    return failure();
  for (Operation &op : step.front().without_terminator()) {
    if (failed(planOp(&op)))
      return failure();
    releaseOperands(&op);
    // Memory is used again only behind a barrier, which every call that is not over tokens gets but
    // those of a layer's heads.
    if (!result.calls.empty() && result.calls.back().partition != Partition::Tokens &&
        !result.calls.back().prepares && result.calls.back().headTiles.empty())
      tokenArea.flush();
  }
  result.placeBarriers();
  int64_t scratchBytes = (result.scratchElements * 4 + 63) / 64 * 64;
  result.claimsOffset = privateBytes;
  result.scratchOffset = privateBytes + 2 * kClaimSetBytes;
  result.workspace = {result.partialElements * 4, tokenArea.highWater(), rowArea.highWater(),
                      result.scratchOffset + scratchBytes};
  return std::move(result);
}

LogicalResult StepPlanner::planOp(Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<EmbeddingOp, LoadWeightOp, RMSNormOp, LinearOp, RopeOp, RopeStoreKVOp, StoreKVOp,
            PagedAttentionOp, AttentionOp, LogitsOp, AllReduceOp>(
          [&](auto typed) { return plan(typed); })
      .Case<SwiGLUOp>([&](Operation *) { return planElementwise(op, ElementwiseKind::SwiGLU); })
      .Case<arith::AddFOp>([&](Operation *) { return planElementwise(op, ElementwiseKind::Add); })
      .Default([](Operation *other) { return emitNoStepForm(other); });
}

LogicalResult StepPlanner::plan(EmbeddingOp op) {
  FailureOr<InputOperand> tokens = getInput(op, op.getTokens());
  FailureOr<WeightInfo> weight = getWeight(op, op.getWeightAttr());
  if (failed(tokens) || failed(weight))
    return failure();
  Place output = createRows(op.getOutput(), columnsOf(op.getOutput()));
  const ::llmir::PackedLayout &layout = weight->layout.getMatrix();
  bytesRead += layout.panelBytes() / ::llmir::kPanelRows;
  PlanCall &call =
      addCall(getKernel(library, EmbeddingKernel{layout, output.operand.type}), Partition::Tokens,
              {*tokens, InputOperand{StepInput::Weights, 0, {}}, ConstantOperand{weight->offset},
               output.operand});
  call.cost.bytesPerToken = layout.panelBytes() / ::llmir::kPanelRows;
  return success();
}

LogicalResult StepPlanner::plan(LoadWeightOp op) {
  FailureOr<WeightInfo> weight = getWeight(op, op.getWeightAttr());
  if (failed(weight))
    return failure();
  loadedWeights[op.getOutput()] = weight->offset;
  bytesRead += weight->layout.getTotalBytes();
  return success();
}

LogicalResult StepPlanner::plan(RMSNormOp op) {
  FailureOr<Place> input = getPlace(op, op.getInput());
  FailureOr<WeightInfo> weight = getWeight(op, op.getWeightAttr());
  if (failed(input) || failed(weight))
    return failure();
  Place output = createRows(op.getOutput(), columnsOf(op.getOutput()));
  bytesRead += weight->layout.getTotalBytes();
  ActivationKernel kernel{ActivationType::F32, false, op.getEpsilon().convertToDouble(),
                          input->operand.type, output.operand.type};
  addCall(getKernel(library, kernel), Partition::Tokens,
          {input->operand, InputOperand{StepInput::Weights, 0, {}}, ConstantOperand{weight->offset},
           output.operand});
  return success();
}

LogicalResult StepPlanner::planElementwise(Operation *op, ElementwiseKind kind) {
  FailureOr<Place> left = getPlace(op, op->getOperand(0));
  FailureOr<Place> right = getPlace(op, op->getOperand(1));
  if (failed(left) || failed(right))
    return failure();
  Place output = createRows(op->getResult(0), columnsOf(op->getResult(0)));
  ElementwiseKernel kernel{kind, left->operand.type, right->operand.type, output.operand.type};
  addCall(getKernel(library, kernel), Partition::Tokens,
          {left->operand, right->operand, output.operand});
  return success();
}

LogicalResult StepPlanner::plan(StoreKVOp op) {
  FailureOr<Place> keys = getPlace(op, op.getKeys());
  FailureOr<Place> values = getPlace(op, op.getValues());
  FailureOr<int64_t> cache = getCache(op, op.getCache());
  FailureOr<InputOperand> slots = getInput(op, op.getSlots());
  FailureOr<ConstantOperand> layer = getLayer(op, op.getLayerIndex(), op.getLayer());
  if (failed(keys) || failed(values) || failed(cache) || failed(slots) || failed(layer))
    return failure();
  caches[op.getNewCache()] = *cache;
  StoreKVKernel kernel{cast<PagedKVCacheType>(op.getCache().getType()).getLayout(),
                       keys->operand.type, values->operand.type};
  PlanCall &call = addCall(getKernel(library, kernel), Partition::Tokens,
                           {keys->operand, values->operand,
                            InputOperand{StepInput::CacheBase, *cache, {}}, *slots, *layer});
  addScales(call, kernel.layout, *cache);
  return success();
}

void StepPlanner::addScales(PlanCall &call, const llmir_cache_layout &layout, int64_t cache) {
  if (CacheSide::keys(layout).hasConstantScale())
    call.operands.push_back(InputOperand{StepInput::KeyScales, cache, {}});
  if (CacheSide::values(layout).hasConstantScale())
    call.operands.push_back(InputOperand{StepInput::ValueScales, cache, {}});
}

LogicalResult StepPlanner::plan(PagedAttentionOp op) {
  SmallVector<PlanOperand> optional;
  if (Value sinks = op.getSinkLogits()) {
    auto offset = loadedWeights.find(sinks);
    if (offset == loadedWeights.end())
      return op.emitOpError("expected sink_logits of an llm.load_weight in a step, but got ")
             << sinks;
    optional = {InputOperand{StepInput::Weights, 0, {}}, ConstantOperand{offset->second}};
  }
  if (Value mask = op.getTreeMask()) {
    FailureOr<InputOperand> input = getInput(op, mask);
    if (failed(input))
      return failure();
    optional.append({*input, InputOperand{StepInput::HasTree, 0, {}}});
  }
  if (Value positions = op.getPositions()) {
    FailureOr<InputOperand> input = getInput(op, positions);
    if (failed(input))
      return failure();
    optional.push_back(*input);
  }
  FailureOr<Place> query = getPlace(op, op.getQuery());
  FailureOr<int64_t> cache = getCache(op, op.getCache());
  FailureOr<InputOperand> table = getInput(op, op.getBlockTable());
  FailureOr<InputOperand> lengths = getInput(op, op.getSeqLens());
  FailureOr<InputOperand> cuLengths = getInput(op, op.getCuLengths());
  FailureOr<ConstantOperand> layer = getLayer(op, op.getLayerIndex(), op.getLayer());
  if (failed(query) || failed(cache) || failed(table) || failed(lengths) || failed(cuLengths) ||
      failed(layer))
    return failure();
  Place output = createRows(op.getOutput(), columnsOf(op.getOutput()));
  AttentionKernel kernel = getAttentionKernel(op, query->operand.type, output.operand.type);
  result.scratchElements = std::max(result.scratchElements, kernel.scratchElements());
  PlanCall &call = addCall(getKernel(library, kernel), Partition::RoundRobin,
                           {query->operand, InputOperand{StepInput::CacheBase, *cache, {}}, *table,
                            InputOperand{StepInput::TableStride, *cache, {}}, *lengths, *cuLengths,
                            InputOperand{StepInput::NumSequences, 0, {}}, *layer,
                            InputOperand{StepInput::Scratch, 0, {}},
                            InputOperand{StepInput::Partials, 0, {}}, output.operand});
  addScales(call, kernel.layout, *cache);
  call.operands.append(optional);
  const llmir_cache_layout &layout = kernel.layout;
  call.cost.bytesPerKey = layout.head_stride * layout.num_kv_heads / layout.block_size;
  call.cost.operationsPerKey = 2 * kernel.heads * (layout.key_head_dim + layout.value_head_dim);
  if (kernel.partialStates() == 0)
    return success();
  result.partialElements = std::max(result.partialElements, kernel.partialElements());
  auto least = [](int64_t &known, int64_t value) {
    known = known ? std::min(known, value) : value;
  };
  least(result.splitKeys, kernel.splitKeys());
  least(result.splitHeads, kernel.layout.num_kv_heads);
  SmallVector<PlanOperand> operands = call.operands;
  PlanCall &merge = addCall(getMergeKernel(library, kernel), Partition::RoundRobin, {});
  merge.operands = std::move(operands);
  merge.merges = true;
  return success();
}

LogicalResult StepPlanner::plan(AttentionOp op) {
  if (!op.getCuLengths())
    return op.emitOpError("expected a ragged query with cu_lengths in a step");
  if (failed(checkDenseAttention(op)))
    return failure();
  Value keyLengths = op.getCuKeyLengths() ? op.getCuKeyLengths() : op.getCuLengths();
  FailureOr<Place> query = getPlace(op, op.getQuery());
  FailureOr<Place> keys = getPlace(op, op.getKeys());
  FailureOr<Place> values = getPlace(op, op.getValues());
  FailureOr<InputOperand> cuLengths = getInput(op, op.getCuLengths());
  FailureOr<InputOperand> cuKeyLengths = getInput(op, keyLengths);
  if (failed(query) || failed(keys) || failed(values) || failed(cuLengths) || failed(cuKeyLengths))
    return failure();
  SmallVector<PlanOperand> sinks;
  if (Value logits = op.getSinkLogits()) {
    auto offset = loadedWeights.find(logits);
    if (offset == loadedWeights.end())
      return op.emitOpError("expected sink_logits of an llm.load_weight in a step, but got ")
             << logits;
    sinks = {InputOperand{StepInput::Weights, 0, {}}, ConstantOperand{offset->second}};
  }
  Place output = createRows(op.getOutput(), columnsOf(op.getOutput()));
  DenseAttentionKernel kernel =
      getDenseAttentionKernel(op, AttentionTechnique::Flash, query->operand.type,
                              keys->operand.type, values->operand.type, output.operand.type);
  int64_t scratch = DenseTiling(kernel, library.target().lanes).size;
  result.scratchElements = std::max(result.scratchElements, scratch);
  PlanCall &call = addCall(getKernel(library, kernel), Partition::RoundRobin,
                           {query->operand, keys->operand, values->operand, output.operand,
                            InputOperand{StepInput::NumSequences, 0, {}}, *cuLengths, *cuKeyLengths,
                            InputOperand{StepInput::Scratch, 0, {}}});
  call.operands.append(sinks);
  return success();
}

} // namespace mlir::llm
