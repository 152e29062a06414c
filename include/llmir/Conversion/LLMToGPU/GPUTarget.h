// What the kernel generators need to know of the GPU they generate for: features, never a vendor or
// a chip's name.

#ifndef LLMIR_CONVERSION_LLMTOGPU_GPUTARGET_H
#define LLMIR_CONVERSION_LLMTOGPU_GPUTARGET_H

#include <cstdint>

namespace mlir::llm {

/// A GPU as a kernel generator sees it.
struct GPUTarget {
  /// Threads that run in step and can shuffle: 32 or 64.
  int64_t subgroupSize = 32;
  /// Bytes of workgroup memory that a block may use.
  int64_t workgroupMemory = 48 * 1024;
  /// Keys that one block of a decoding kernel attends to. The result of attention depends on it in
  /// its last bits, so it is part of what code is generated for.
  int64_t splitTokens = 1024;
};

} // namespace mlir::llm

#endif // LLMIR_CONVERSION_LLMTOGPU_GPUTARGET_H
