// Sums the blocks of the longest requests.

#include "llmir/Engine/PoolSize.h"

#include "llmir/Cache/CacheLayout.h"
#include "llmir/Engine/Generator.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace llmir {

int64_t poolBlocksFor(std::span<const GenerationRequest> requests, const llmir_cache_layout &layout,
                      const PoolBounds &bounds) {
  std::vector<int64_t> blocks;
  for (const GenerationRequest &request : requests)
    blocks.push_back(
        blocksForTokens(layout, contextTokensNeeded(request, bounds.maxSequenceLength)));
  std::sort(blocks.begin(), blocks.end(), std::greater<>());
  int64_t longest = blocks.empty() ? 1 : std::max<int64_t>(blocks.front(), 1);
  int64_t affordable = std::max(bounds.maxBytes / layout.block_stride, longest);
  int64_t total = 0;
  for (size_t i = 0; i < blocks.size() && static_cast<int64_t>(i) < bounds.maxSequences; ++i)
    total += blocks[i];
  return std::clamp(total, longest, affordable);
}

} // namespace llmir
