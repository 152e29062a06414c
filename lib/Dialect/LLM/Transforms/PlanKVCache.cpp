// llm-plan-kv-cache: chooses how each layer's keys and values are stored so that a number of
// sequences fits into a number of bytes, and says why. What it chooses among is KVCacheModel's;
// StepCaches changes the step.

#include "KVCacheModel.h"
#include "StepCaches.h"

#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::llm {

#define GEN_PASS_DEF_PLANKVCACHEPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

/// A layer of one of the step's caches and the option chosen for it.
struct Layer {
  size_t cache;
  int64_t index; ///< in its cache
  double sensitivity;
  size_t option = 0; ///< into the options of its cache
};

/// The layers of one cache that are stored alike: a cache of the new step.
struct Group {
  size_t option;
  SmallVector<int64_t> layers;
  PagedKVCacheType type;
};

class PlanKVCachePass : public impl::PlanKVCachePassBase<PlanKVCachePass>, public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;

private:
  LogicalResult checkOptions(PagedKVCacheType type);
  LogicalResult plan(func::FuncOp step);
  LogicalResult choose(func::FuncOp step);
  void downgrade();
  LogicalResult formGroups(func::FuncOp step, size_t cache);
  void exchange(func::FuncOp step);
  void explain(func::FuncOp step);
  void explain(func::FuncOp step, size_t cache, const Group &group);
  int64_t countBytes() const;
  const KVLayerOption &optionOf(const Layer &layer) const {
    return options[layer.cache][layer.option];
  }

  KVCacheLoad load;
  SmallVector<int64_t> sizes;
  std::vector<StepCache> caches;
  std::vector<SmallVector<KVLayerOption>> options; ///< of a layer of each cache
  std::vector<Layer> layers;
  std::vector<SmallVector<Group>> groups; ///< of each cache
  int64_t bytesBefore = 0;
};

} // namespace

//===----------------------------------------------------------------------===//
// Choosing
//===----------------------------------------------------------------------===//

LogicalResult PlanKVCachePass::checkOptions(PagedKVCacheType type) {
  ModuleOp module = getOperation();
  if (budget <= 0)
    return module.emitError("llm-plan-kv-cache: expected 'kv-budget' to be positive, but got ")
           << budget.getValue();
  if (sequences < 1)
    return module.emitError("llm-plan-kv-cache: expected 'sequences' to be positive, but got ")
           << sequences.getValue();
  if (context < 0 || context > type.getMaxSeqLen())
    return module.emitError("llm-plan-kv-cache: expected 'context' to be at most the cache's "
                            "longest sequence, ")
           << type.getMaxSeqLen() << ", but got " << context.getValue();
  for (int64_t size : blockSizes)
    if (size < 1 || size > 256)
      return module.emitError("llm-plan-kv-cache: expected 'block-sizes' in 1..256, but got ")
             << size;
  load = {sequences, context == 0 ? type.getMaxSeqLen() : context};
  sizes.assign(blockSizes.begin(), blockSizes.end());
  if (sizes.empty())
    sizes = {8, 16, 32, 64, 128, 256};
  return success();
}

int64_t PlanKVCachePass::countBytes() const {
  int64_t bytes = 0;
  for (const Layer &layer : layers)
    bytes += optionOf(layer).bytes;
  return bytes;
}

/// Takes the narrower option that adds least error for the bytes that it saves, until all fits.
/// Options lie on a convex hull, so this minimises the sum of errors but for the last step.
void PlanKVCachePass::downgrade() {
  int64_t bytes = countBytes();
  while (bytes > budget) {
    Layer *best = nullptr;
    double least = 0;
    for (Layer &layer : layers) {
      if (layer.option + 1 == options[layer.cache].size())
        continue;
      const KVLayerOption &from = optionOf(layer), &to = options[layer.cache][layer.option + 1];
      double loss =
          layer.sensitivity * (to.error - from.error) / static_cast<double>(from.bytes - to.bytes);
      // Of equals the last, so that neighbours stay together.
      if (!best || loss <= least) {
        best = &layer;
        least = loss;
      }
    }
    if (!best)
      return;
    bytes -= optionOf(*best).bytes;
    ++best->option;
    bytes += optionOf(*best).bytes;
  }
}

LogicalResult PlanKVCachePass::choose(func::FuncOp step) {
  options.clear();
  layers.clear();
  bytesBefore = 0;
  int64_t count = 0;
  for (const StepCache &cache : caches)
    count += cache.getType().getNumLayers();
  for (auto [index, cache] : llvm::enumerate(caches)) {
    PagedKVCacheType type = cache.getType();
    options.push_back(getLayerOptions(type, load, sizes, target));
    if (options.back().empty())
      return step.emitOpError("expected a storage of ")
             << type << " that the target can lower, but got none";
    for (int64_t layer = 0; layer < type.getNumLayers(); ++layer)
      layers.push_back(
          {index, layer, getLayerSensitivity(static_cast<int64_t>(layers.size()), count)});
    bytesBefore += load.sequences * type.getLayout().block_stride *
                   static_cast<int64_t>(llvm::divideCeil(load.context, type.getBlockSize()));
  }
  downgrade();
  int64_t bytes = countBytes();
  if (bytes <= budget)
    return success();
  const KVLayerOption &narrowest = optionOf(layers.back());
  return step.emitOpError("expected KV caches of at most ")
         << budget.getValue() << " bytes for " << load.sequences << " sequences of " << load.context
         << " tokens, but the narrowest, with keys in " << narrowest.keys.describe()
         << " and values in " << narrowest.values.describe() << ", take " << bytes;
}

/// The layers of a cache by option, as the types of new caches.
LogicalResult PlanKVCachePass::formGroups(func::FuncOp step, size_t cache) {
  SmallVector<Group> &formed = groups.emplace_back();
  for (const Layer &layer : layers) {
    if (layer.cache != cache)
      continue;
    auto *found =
        llvm::find_if(formed, [&](const Group &group) { return group.option == layer.option; });
    if (found == formed.end())
      found = &formed.emplace_back(Group{layer.option, {}, {}});
    found->layers.push_back(layer.index);
  }
  for (Group &group : formed) {
    PagedKVCacheParameters parameters = options[cache][group.option].type.getParameters();
    parameters.numLayers = static_cast<int64_t>(group.layers.size());
    group.type =
        PagedKVCacheType::getChecked([&] { return step.emitOpError(); }, &getContext(), parameters);
    if (!group.type)
      return failure();
  }
  return success();
}

void PlanKVCachePass::exchange(func::FuncOp step) {
  // From the last, since each exchange moves the arguments behind it.
  for (size_t cache = caches.size(); cache-- > 0;) {
    SmallVector<PagedKVCacheType> types;
    SmallVector<StepCache::LayerPlace> places(
        static_cast<size_t>(caches[cache].getType().getNumLayers()));
    for (auto [index, group] : llvm::enumerate(groups[cache])) {
      types.push_back(group.type);
      for (auto [place, layer] : llvm::enumerate(group.layers))
        places[static_cast<size_t>(layer)] = {index, static_cast<int64_t>(place)};
    }
    StepCache::exchange(step, caches[cache], types, places);
  }
}

//===----------------------------------------------------------------------===//
// Explaining
//===----------------------------------------------------------------------===//

/// `0..11, 14`.
static std::string describeLayers(ArrayRef<int64_t> layers) {
  std::string text;
  for (size_t i = 0; i < layers.size();) {
    size_t end = i + 1;
    while (end < layers.size() && layers[end] == layers[end - 1] + 1)
      ++end;
    text += (text.empty() ? "" : ", ") + std::to_string(layers[i]);
    if (end - i > 1)
      text += ".." + std::to_string(layers[end - 1]);
    i = end;
  }
  return text;
}

/// What the ops of a layer read from and write to memory in a step of one token for each sequence,
/// were its cache of type `type`: the costs of copies on such a cache.
static int64_t countTraffic(ArrayRef<Operation *> ops, PagedKVCacheType type,
                            const KVCacheLoad &load) {
  StepSizes sizes = StepSizes::decode(load.sequences, load.context);
  int64_t bytes = 0;
  for (Operation *op : ops) {
    Block scratch;
    IRMapping mapping;
    for (Value operand : op->getOperands()) {
      bool isCache = isa<PagedKVCacheType>(operand.getType());
      mapping.map(operand,
                  scratch.addArgument(isCache ? Type(type) : operand.getType(), operand.getLoc()));
    }
    Operation *copy = op->clone(mapping);
    scratch.push_back(copy);
    if (auto costly = dyn_cast<CostOpInterface>(copy)) {
      OpCost cost = costly.getCost();
      bytes += cost.bytesRead.evaluate(sizes) + cost.bytesWritten.evaluate(sizes);
    }
  }
  return bytes;
}

void PlanKVCachePass::explain(func::FuncOp step, size_t cache, const Group &group) {
  const KVLayerOption &option = options[cache][group.option];
  BlockSizeCost size = getBlockSizeCost(option.type.getBlockSize(), load);
  int64_t traffic = 0;
  for (int64_t layer : group.layers)
    traffic += countTraffic(caches[cache].getOps(layer), option.type, load);
  step.emitRemark() << llvm::formatv(
                           "layers {0} of cache {1}: keys in {2}, values in {3}: {4:F1} bytes a "
                           "token and layer ({5:P1} padding), {6} bytes in all; a decoding step "
                           "moves {7} bytes; error {8:E2}",
                           describeLayers(group.layers), cache, option.keys.describe(),
                           option.values.describe(), option.bytesPerToken(), option.paddingShare(),
                           option.bytes * static_cast<int64_t>(group.layers.size()), traffic,
                           option.error)
                           .str();
  InFlightDiagnostic remark = step.emitRemark()
                              << "blocks of " << option.type.getBlockSize() << " tokens: "
                              << llvm::formatv("{0:F1} tokens a sequence are unused on average and "
                                               "its blocks are worth {1:F1}",
                                               size.slackTokens, size.blockTokens)
                                     .str();
  for (int64_t other : sizes)
    if (other != option.type.getBlockSize()) {
      BlockSizeCost cost = getBlockSizeCost(other, load);
      remark << llvm::formatv("; of {0}: {1:F1} and {2:F1}", other, cost.slackTokens,
                              cost.blockTokens)
                    .str();
    }
}

void PlanKVCachePass::explain(func::FuncOp step) {
  int64_t bytes = countBytes();
  step.emitRemark("KV caches for ")
      << load.sequences << " sequences of " << load.context << " tokens take " << bytes << " of "
      << budget.getValue() << " bytes (as they were: " << bytesBefore << ")";
  step.emitRemark("layout channel_major: the one that attention on the ")
      << (target == KVCacheTarget::CPU ? "CPU" : "GPU") << " reads";
  for (auto [cache, formed] : llvm::enumerate(groups))
    for (const Group &group : formed)
      explain(step, cache, group);
  // What the budget is short of: the option that would gain most for a byte.
  const Layer *best = nullptr;
  double most = 0;
  for (const Layer &layer : layers) {
    if (layer.option == 0)
      continue;
    const KVLayerOption &wider = options[layer.cache][layer.option - 1];
    double gain = layer.sensitivity * (optionOf(layer).error - wider.error) /
                  static_cast<double>(wider.bytes - optionOf(layer).bytes);
    if (gain <= most)
      continue;
    best = &layer;
    most = gain;
  }
  if (!best)
    return;
  const KVLayerOption &wider = options[best->cache][best->option - 1];
  step.emitRemark("no wider: layer ")
      << best->index << " of cache " << best->cache << " with keys in " << wider.keys.describe()
      << " and values in " << wider.values.describe() << " would take "
      << wider.bytes - optionOf(*best).bytes << " bytes more, and " << budget - bytes
      << " are left";
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

LogicalResult PlanKVCachePass::plan(func::FuncOp step) {
  FailureOr<std::vector<StepCache>> found = StepCache::find(step);
  if (failed(found))
    return failure();
  caches = std::move(*found);
  if (caches.empty())
    return success();
  for (const StepCache &cache : caches)
    if (failed(checkOptions(cache.getType())))
      return failure();
  if (failed(choose(step)))
    return failure();
  groups.clear();
  for (size_t cache = 0; cache < caches.size(); ++cache)
    if (failed(formGroups(step, cache)))
      return failure();
  if (verbose)
    explain(step);
  count("layers-planned", static_cast<int64_t>(layers.size()));
  for (const auto &formed : groups)
    count("caches", static_cast<int64_t>(formed.size()));
  count("bytes-before", bytesBefore);
  count("bytes-after", countBytes());
  exchange(step);
  return success();
}

void PlanKVCachePass::runOnOperation() {
  for (auto step : getOperation().getOps<func::FuncOp>())
    if (step->hasAttr("llm.step") && failed(plan(step)))
      return signalPassFailure();
}

} // namespace mlir::llm
