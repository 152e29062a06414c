// The cost and error of the ways to store a layer's keys and values: see KVCacheModel.h.

#include "KVCacheModel.h"

#include <cmath>

namespace mlir::llm {

//===----------------------------------------------------------------------===//
// Errors
//===----------------------------------------------------------------------===//

std::string KVSideStorage::describe() const {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  if (scales == ScaleGranularity::Token)
    text += " (a scale a token)";
  else if (scales == ScaleGranularity::Group)
    text += " (a scale each " + std::to_string(group) + " channels)";
  return text;
}

/// The mean of the square of the largest of `count` magnitudes of standard normal numbers: the
/// integral of 2 x (1 - P(all below x)), by the midpoint rule.
static double getMeanSquareOfLargest(int64_t count) {
  constexpr double kEnd = 9.0, kStep = 1.0 / 256;
  double sum = 0;
  for (double x = kStep / 2; x < kEnd; x += kStep)
    sum += 2 * x * (1 - std::pow(std::erf(x / std::sqrt(2.0)), static_cast<double>(count))) * kStep;
  return sum;
}

double getSquaredError(const KVSideStorage &storage, int64_t headDim, bool isKey) {
  if (auto type = dyn_cast<FloatType>(storage.type)) {
    // The spacing of numbers with m stored bits at 1.f * 2^e is 2^(e - m), and errors are uniform
    // in it; with f spread as in nature the mean of 1 / 1.f^2 is 3 / (8 ln 2).
    auto bits = static_cast<int>(type.getFPMantissaWidth()) - 1;
    return std::ldexp(1.0, -2 * bits) / 12.0 * 3.0 / (8.0 * std::log(2.0));
  }
  // Codes are uniform up to the largest magnitude of the group.
  int64_t count = storage.scales == ScaleGranularity::Group ? storage.group : headDim;
  double largest = getMeanSquareOfLargest(count) * (isKey ? kKeyOutliers * kKeyOutliers : 1.0);
  double steps = storage.type.isInteger(8) ? 127 : 7;
  return largest / (steps * steps) / 12.0;
}

//===----------------------------------------------------------------------===//
// Options
//===----------------------------------------------------------------------===//

/// The storages of a side that `current` may be exchanged for: itself, and narrower ones.
static SmallVector<KVSideStorage> getSideStorages(const KVSideStorage &current, int64_t headDim,
                                                  KVCacheTarget target) {
  MLIRContext *context = current.type.getContext();
  SmallVector<KVSideStorage> storages = {current};
  auto width = [](Type type) { return type.getIntOrFloatBitWidth(); };
  auto add = [&](Type type, ScaleGranularity scales, int64_t group = 0) {
    if (width(type) < width(current.type))
      storages.push_back({type, scales, group});
  };
  add(Float16Type::get(context), ScaleGranularity::None);
  add(BFloat16Type::get(context), ScaleGranularity::None);
  // Scales are not read by the GPU's kernels.
  if (target == KVCacheTarget::GPU)
    return storages;
  add(Float8E4M3FNType::get(context), ScaleGranularity::Token);
  add(Float8E5M2Type::get(context), ScaleGranularity::Token);
  add(IntegerType::get(context, 8), ScaleGranularity::Token);
  if (headDim % 2 != 0)
    return storages;
  Type four = IntegerType::get(context, 4);
  add(four, ScaleGranularity::Token);
  for (int64_t group : {16, 32})
    if (headDim % (2 * group) == 0)
      add(four, ScaleGranularity::Group, group);
  return storages;
}

double KVLayerOption::bytesPerToken() const {
  llmir_cache_layout layout = type.getLayout();
  return static_cast<double>(layout.layer_stride) / static_cast<double>(layout.block_size);
}

double KVLayerOption::paddingShare() const {
  llmir_cache_layout layout = type.getLayout();
  int64_t bits = llmir_element_bits(layout.key_type) * layout.key_head_dim +
                 llmir_element_bits(layout.value_type) * layout.value_head_dim;
  int64_t groups = llmir_stored_scale_groups(layout.key_scale_granularity, layout.key_head_dim,
                                             layout.key_scale_group) +
                   llmir_stored_scale_groups(layout.value_scale_granularity, layout.value_head_dim,
                                             layout.value_scale_group);
  int64_t bytes = (bits / 8 + groups * llmir_element_size(layout.scale_type)) * layout.block_size;
  return 1.0 - static_cast<double>(bytes) / static_cast<double>(layout.head_stride);
}

BlockSizeCost getBlockSizeCost(int64_t blockSize, const KVCacheLoad &load) {
  auto blocks = static_cast<double>(llvm::divideCeil(load.context, blockSize));
  return {static_cast<double>(blockSize - 1) / 2, kTokensPerBlock * blocks};
}

static int64_t countBytes(PagedKVCacheType type, const KVCacheLoad &load) {
  int64_t blocks = static_cast<int64_t>(llvm::divideCeil(load.context, type.getBlockSize()));
  return load.sequences * blocks * type.getLayout().block_stride;
}

/// The option with the block size that costs least, or none if no size goes with the storages.
static std::optional<KVLayerOption> chooseBlockSize(PagedKVCacheParameters parameters,
                                                    const KVCacheLoad &load,
                                                    ArrayRef<int64_t> blockSizes) {
  std::optional<KVLayerOption> best;
  double least = 0;
  for (int64_t blockSize : blockSizes) {
    parameters.blockSize = blockSize;
    MLIRContext *context = parameters.elementType.getContext();
    // Combinations that the type refuses are no options; it need not say why.
    ScopedDiagnosticHandler quiet(context, [](Diagnostic &) { return success(); });
    auto type = PagedKVCacheType::getChecked([&] { return emitError(UnknownLoc::get(context)); },
                                             context, parameters);
    if (!type)
      continue;
    KVLayerOption option{type, {}, {}, countBytes(type, load), 0};
    BlockSizeCost tokens = getBlockSizeCost(blockSize, load);
    double cost = static_cast<double>(option.bytes) + static_cast<double>(load.sequences) *
                                                          option.bytesPerToken() *
                                                          (tokens.slackTokens + tokens.blockTokens);
    if (best && cost >= least)
      continue;
    best = option;
    least = cost;
  }
  return best;
}

/// Keeps what lies on the lower convex hull of error over bytes, from the most bytes down.
static void keepHull(SmallVectorImpl<KVLayerOption> &options) {
  llvm::sort(options, [](const KVLayerOption &a, const KVLayerOption &b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.error < b.error;
  });
  SmallVector<KVLayerOption> hull;
  for (const KVLayerOption &option : options) {
    if (!hull.empty() && option.error >= hull.back().error)
      continue;
    auto gainOver = [&](const KVLayerOption &from, const KVLayerOption &to) {
      return (from.error - to.error) / static_cast<double>(to.bytes - from.bytes);
    };
    while (hull.size() > 1 &&
           gainOver(hull[hull.size() - 2], hull.back()) <= gainOver(hull.back(), option))
      hull.pop_back();
    hull.push_back(option);
  }
  options.assign(hull.rbegin(), hull.rend());
}

SmallVector<KVLayerOption> getLayerOptions(PagedKVCacheType type, const KVCacheLoad &load,
                                           ArrayRef<int64_t> blockSizes, KVCacheTarget target) {
  KVSideStorage keys{type.getKeyStorage(), type.getKeyScales(), type.getKeyScaleGroup()};
  KVSideStorage values{type.getValueStorage(), type.getValueScales(), type.getValueScaleGroup()};
  SmallVector<KVLayerOption> options;
  for (const KVSideStorage &key : getSideStorages(keys, type.getHeadDim(), target)) {
    for (const KVSideStorage &value : getSideStorages(values, type.getValueHeadDim(), target)) {
      PagedKVCacheParameters parameters = type.getParameters();
      parameters.numLayers = 1;
      parameters.keyStorage = key.type;
      parameters.keyScales = key.scales;
      parameters.keyScaleGroup = key.group;
      parameters.valueStorage = value.type;
      parameters.valueScales = value.scales;
      parameters.valueScaleGroup = value.group;
      // The only arrangement that both targets' attention reads; pairs are not lowered.
      parameters.arrangement = CacheArrangement::ChannelMajor;
      auto isStored = [](ScaleGranularity scales) {
        return scales == ScaleGranularity::Token || scales == ScaleGranularity::Group;
      };
      if (isStored(key.scales) || isStored(value.scales)) {
        if (!isStored(keys.scales) && !isStored(values.scales))
          parameters.scaleType = Float16Type::get(type.getContext());
      } else {
        parameters.scaleType = Float32Type::get(type.getContext());
      }
      std::optional<KVLayerOption> option = chooseBlockSize(parameters, load, blockSizes);
      if (!option)
        continue;
      option->keys = key;
      option->values = value;
      option->error = kScoreDeviation * kScoreDeviation *
                          getSquaredError(key, type.getHeadDim(), /*isKey=*/true) +
                      getSquaredError(value, type.getValueHeadDim(), /*isKey=*/false);
      options.push_back(*option);
    }
  }
  keepHull(options);
  return options;
}

} // namespace mlir::llm
