// BlockSizeAdvice: all triples of powers of two, priced by the lengths of a workload.

#include "llmir/Cache/BlockSizeAdvice.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <vector>

namespace llmir {

namespace {

bool isPowerOfTwoTimes(int64_t larger, int64_t smaller) {
  return larger >= smaller && larger % smaller == 0 &&
         std::has_single_bit(static_cast<uint64_t>(larger / smaller));
}

std::string decimal(double value, const char *format) {
  char text[64];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

std::string describe(const BlockSizeConfig &sizes) {
  return "blocks of " + std::to_string(sizes.smallBlockSize) + ", " +
         std::to_string(sizes.primaryBlockSize) + " and " + std::to_string(sizes.largeBlockSize) +
         " tokens";
}

std::string describe(const BlockSizeCost &cost) {
  return decimal(cost.blocks, "%.1f") + " blocks a sequence and " +
         decimal(100 * cost.slackFraction, "%.2f") + " % of memory unused";
}

std::string makeReason(std::vector<int64_t> lengths, const BlockSizeConfig &current,
                       const BlockSizeAdvice &advice, const AdaptationConfig &config) {
  std::sort(lengths.begin(), lengths.end());
  auto quantile = [&lengths](size_t percent) {
    return std::to_string(lengths[(lengths.size() - 1) * percent / 100]);
  };
  std::string seen = std::to_string(lengths.size()) + " sequences had a median of " + quantile(50) +
                     " tokens, 10 % at most " + quantile(10) + " and 10 % at least " +
                     quantile(90) + ". ";
  if (advice.sizes == current)
    return seen + "Keep " + describe(current) + ": with " + describe(advice.cost) +
           ", no sizes of " + std::to_string(config.minBlockSize) + " to " +
           std::to_string(config.maxBlockSize) + " cost " + decimal(100 * config.minGain, "%.2g") +
           " % less when a block is worth " + decimal(config.tokensPerBlock, "%.2g") +
           " tokens of memory.";
  BlockSizeCost before = costOf(current, lengths);
  return seen + "Take " + describe(advice.sizes) + " in place of " + describe(current) + ": " +
         describe(advice.cost) + " instead of " + describe(before) + "; when a block is worth " +
         decimal(config.tokensPerBlock, "%.2g") + " tokens of memory, that is " +
         decimal(advice.cost.total(config), "%.1f") + " instead of " +
         decimal(before.total(config), "%.1f") + " tokens a sequence.";
}

} // namespace

Status checkBlockSizes(const BlockSizeConfig &sizes) {
  if (sizes.smallBlockSize >= 1 && sizes.largeBlockSize <= (int64_t(1) << 20) &&
      isPowerOfTwoTimes(sizes.primaryBlockSize, sizes.smallBlockSize) &&
      isPowerOfTwoTimes(sizes.largeBlockSize, sizes.primaryBlockSize))
    return Status::ok();
  return invalidArgument("expected block sizes of which each is a power of two times the next "
                         "smaller, but got small " +
                         std::to_string(sizes.smallBlockSize) + ", primary " +
                         std::to_string(sizes.primaryBlockSize) + " and large " +
                         std::to_string(sizes.largeBlockSize));
}

BlockCover coverLength(int64_t length, const BlockSizeConfig &sizes) {
  BlockCover cover;
  cover.large = length / sizes.largeBlockSize;
  length %= sizes.largeBlockSize;
  cover.primary = length / sizes.primaryBlockSize;
  length %= sizes.primaryBlockSize;
  cover.small = (length + sizes.smallBlockSize - 1) / sizes.smallBlockSize;
  return cover;
}

BlockSizeCost costOf(const BlockSizeConfig &sizes, std::span<const int64_t> lengths) {
  double tokens = 0, held = 0, blocks = 0;
  for (int64_t length : lengths) {
    BlockCover cover = coverLength(length, sizes);
    tokens += double(length);
    held += double(cover.large * sizes.largeBlockSize + cover.primary * sizes.primaryBlockSize +
                   cover.small * sizes.smallBlockSize);
    blocks += double(cover.large + cover.primary + cover.small);
  }
  auto count = double(std::max<size_t>(lengths.size(), 1));
  return {(held - tokens) / count, blocks / count, held > 0 ? (held - tokens) / held : 0};
}

BlockSizeAdvice adviseBlockSizes(std::span<const int64_t> lengths, const BlockSizeConfig &current,
                                 const AdaptationConfig &config,
                                 std::optional<int64_t> smallBlockSize) {
  if (lengths.empty())
    return {current, {}, "Keep " + describe(current) + ": no sequence has ended yet."};
  auto isAllowed = [&](const BlockSizeConfig &sizes) {
    return !smallBlockSize || sizes.smallBlockSize == *smallBlockSize;
  };
  BlockSizeAdvice best{current, costOf(current, lengths), ""};
  for (int64_t large = config.maxBlockSize; large >= config.minBlockSize; large /= 2)
    for (int64_t primary = large; primary >= config.minBlockSize; primary /= 2)
      for (int64_t small = primary; small >= config.minBlockSize; small /= 2) {
        BlockSizeConfig sizes{primary, small, large};
        if (!isAllowed(sizes))
          continue;
        BlockSizeCost cost = costOf(sizes, lengths);
        if (!isAllowed(best.sizes) || cost.total(config) < best.cost.total(config))
          best = {sizes, cost, ""};
      }
  BlockSizeCost before = costOf(current, lengths);
  if (isAllowed(current) && best.cost.total(config) > (1 - config.minGain) * before.total(config))
    best = {current, before, ""};
  best.reason = makeReason({lengths.begin(), lengths.end()}, current, best, config);
  return best;
}

} // namespace llmir
