// Which bytes of plain arrays [layers, rows, tokens, KV heads, head dim] belong to a device: a
// walk over the runs that lie together both in the whole array and in the device's own.

#ifndef LLMIR_LIB_DISTRIBUTED_SHARDCOPY_H
#define LLMIR_LIB_DISTRIBUTED_SHARDCOPY_H

#include "llmir/Distributed/Sharding.h"

#include <cstdint>
#include <cstring>
#include <vector>

namespace llmir {

/// The sizes of the whole array: keys or values.
struct ArrayShape {
  int64_t rows = 0;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t headBytes = 0; ///< Of one token's head.
};

/// The part of a device: its layers and heads, the rows of that number, and of these the first
/// `tokens` tokens.
struct ArrayPart {
  const CacheShard *shard = nullptr;
  const std::vector<int64_t> *rows = nullptr;
  int64_t tokens = 0;

  int64_t bytes(const ArrayShape &whole) const {
    return shard->numLayers * static_cast<int64_t>(rows->size()) * tokens * shard->numHeads *
           whole.headBytes;
  }
};

/// Calls visit(offset in the whole array, offset in the part, bytes) for each run, in the order of
/// the part.
template <typename Visit>
void forEachRun(const ArrayShape &whole, const ArrayPart &part, Visit &&visit) {
  const CacheShard &shard = *part.shard;
  int64_t tokenBytes = whole.heads * whole.headBytes;
  int64_t partTokenBytes = shard.numHeads * whole.headBytes;
  bool allHeads = shard.numHeads == whole.heads;
  int64_t target = 0;
  for (int64_t layer = 0; layer < shard.numLayers; ++layer)
    for (int64_t row : *part.rows) {
      int64_t start = ((shard.firstLayer + layer) * whole.rows + row) * whole.tokens * tokenBytes +
                      shard.firstHead * whole.headBytes;
      int64_t runs = allHeads ? 1 : part.tokens;
      int64_t runBytes = allHeads ? part.tokens * tokenBytes : partTokenBytes;
      for (int64_t run = 0; run < runs; ++run, target += runBytes)
        visit(start + run * tokenBytes, target, runBytes);
    }
}

/// Copies the part out of the whole array, or back into it.
inline void copyPartOut(const ArrayShape &shape, const ArrayPart &part, const uint8_t *whole,
                        uint8_t *target) {
  forEachRun(shape, part, [&](int64_t from, int64_t to, int64_t bytes) {
    if (bytes > 0)
      std::memcpy(target + to, whole + from, static_cast<size_t>(bytes));
  });
}
inline void copyPartIn(const ArrayShape &shape, const ArrayPart &part, const uint8_t *source,
                       uint8_t *whole) {
  forEachRun(shape, part, [&](int64_t to, int64_t from, int64_t bytes) {
    if (bytes > 0)
      std::memcpy(whole + to, source + from, static_cast<size_t>(bytes));
  });
}

} // namespace llmir

#endif // LLMIR_LIB_DISTRIBUTED_SHARDCOPY_H
