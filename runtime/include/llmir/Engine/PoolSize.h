// How many blocks a KV cache's pool needs for a known set of requests. Arithmetic only; allocates
// nothing.

#ifndef LLMIR_ENGINE_POOLSIZE_H
#define LLMIR_ENGINE_POOLSIZE_H

#include "llmir/ABI.h"
#include "llmir/Engine/GenerationRequest.h"

#include <cstdint>
#include <span>

namespace llmir {

/// What bounds a pool.
struct PoolBounds {
  int64_t maxSequenceLength = 0;
  int64_t maxSequences = 0; ///< Requests served together.
  int64_t maxBytes = 0;     ///< Of the pool; still, the longest request gets its blocks.
};

/// Blocks for the `maxSequences` longest of `requests` at once, within the bounds; at least 1.
int64_t poolBlocksFor(std::span<const GenerationRequest> requests, const llmir_cache_layout &layout,
                      const PoolBounds &bounds);

} // namespace llmir

#endif // LLMIR_ENGINE_POOLSIZE_H
