// Cutting attention into blocks: see AttentionGeometry.h.

#include "AttentionGeometry.h"

#include "../LLMToCPU/CacheElements.h"

namespace mlir::llm {

int64_t AttentionGeometry::workgroupBytes(const GPUTarget &target,
                                          const AttentionDeviceKernel &kernel, int64_t rows) {
  // Queries, weights and partial reductions of each row; the address of each key's value, and of
  // its scale.
  int64_t floats = kernel.layout.key_head_dim + kThreads + kThreads / target.subgroupSize;
  int64_t addresses = CacheSide::values(kernel.layout).storedGroups() > 0 ? 2 : 1;
  return rows * floats * 4 + kThreads * 8 * addresses;
}

AttentionGeometry AttentionGeometry::get(const GPUTarget &target,
                                         const AttentionDeviceKernel &kernel, Tile tile) {
  int64_t maxRows = kMaxGroupRows;
  while (maxRows > 1 && workgroupBytes(target, kernel, maxRows) > target.workgroupMemory)
    maxRows /= 2;
  AttentionGeometry geometry{};
  geometry.groupRows = std::min(kernel.groupSize(), maxRows);
  geometry.groupParts = llvm::divideCeil(kernel.groupSize(), geometry.groupRows);
  int64_t tileRows = std::min(maxRows, kMaxTileRows);
  geometry.tileTokens =
      tile == Tile::OneToken ? 1 : std::max<int64_t>(tileRows / geometry.groupRows, 1);
  int64_t channels = kernel.layout.value_head_dim;
  geometry.phases = std::max<int64_t>(kThreads / channels, 1);
  geometry.channelsPerThread = llvm::divideCeil(channels, kThreads);
  return geometry;
}

int64_t getWorkgroupBytes(const GPUTarget &target, const AttentionDeviceKernel &kernel) {
  return AttentionGeometry::workgroupBytes(target, kernel, 1);
}

} // namespace mlir::llm
