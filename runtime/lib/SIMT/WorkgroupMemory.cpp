// Shared memory with a record of accesses: see WorkgroupMemory.h.

#include "WorkgroupMemory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace llmir::simt {

static constexpr int64_t kAlignment = 64;

void WorkgroupMemory::Release::operator()(uint8_t *bytes) const { std::free(bytes); }

WorkgroupMemory::WorkgroupMemory(int64_t bytes)
    : size_((bytes + kAlignment - 1) / kAlignment * kAlignment),
      bytes_(static_cast<uint8_t *>(
          std::aligned_alloc(kAlignment, static_cast<size_t>(std::max(size_, kAlignment))))),
      shadows_(static_cast<size_t>(size_)) {
  if (!bytes_)
    throw std::bad_alloc();
  reset();
}

void WorkgroupMemory::reset() {
  // All ones: NaN in every float type.
  std::memset(bytes_.get(), 0xff, static_cast<size_t>(size_));
  std::fill(shadows_.begin(), shadows_.end(), Shadow{});
}

std::optional<WorkgroupMemory::Conflict> WorkgroupMemory::access(int64_t offset, bool isWrite,
                                                                 int32_t thread, int64_t phase) {
  if (offset < 0 || offset >= size_)
    return std::nullopt;
  Shadow &shadow = shadows_[static_cast<size_t>(offset)];
  if (!isWrite && shadow.writer < 0)
    return Conflict{true, 0, false};
  std::optional<Conflict> conflict;
  if (shadow.writePhase == phase && shadow.writer != thread)
    conflict = Conflict{false, shadow.writer, true};
  else if (isWrite && shadow.readPhase == phase && (shadow.many || shadow.reader != thread))
    conflict = Conflict{false, shadow.reader, false};
  if (isWrite) {
    shadow.writer = thread;
    shadow.writePhase = phase;
    return conflict;
  }
  shadow.many = shadow.readPhase == phase && (shadow.many || shadow.reader != thread);
  shadow.reader = thread;
  shadow.readPhase = phase;
  return conflict;
}

} // namespace llmir::simt
