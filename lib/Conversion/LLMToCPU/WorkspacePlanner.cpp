// First-fit placement of workspace rows: see WorkspacePlanner.h.

#include "WorkspacePlanner.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>

namespace mlir::llm {

int64_t WorkspacePlanner::allocate(int64_t bytes) {
  bytes = (bytes + 63) / 64 * 64;
  int64_t offset = 0;
  auto *place = used.begin();
  for (; place != used.end() && place->offset < offset + bytes; ++place)
    offset = place->offset + place->bytes;
  used.insert(place, {offset, bytes});
  top = std::max(top, offset + bytes);
  return offset;
}

void WorkspacePlanner::release(int64_t offset) { released.push_back(offset); }

void WorkspacePlanner::flush() {
  llvm::erase_if(used,
                 [&](const Range &range) { return llvm::is_contained(released, range.offset); });
  released.clear();
}

} // namespace mlir::llm
