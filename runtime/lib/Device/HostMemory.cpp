// HostMemory: maps one huge page more than asked for, so that an aligned range fits, and asks for
// huge pages. The kernel may refuse the advice; the memory then works with small pages.

#include "llmir/Device/HostMemory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace llmir {

HostMemory::HostMemory(HostMemory &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mappingSize_(std::exchange(other.mappingSize_, 0)) {}

HostMemory &HostMemory::operator=(HostMemory &&other) noexcept {
  if (this != &other) {
    unmap();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapping_ = std::exchange(other.mapping_, nullptr);
    mappingSize_ = std::exchange(other.mappingSize_, 0);
  }
  return *this;
}

HostMemory::~HostMemory() { unmap(); }

void HostMemory::unmap() {
  if (mapping_)
    munmap(mapping_, mappingSize_);
}

StatusOr<HostMemory> HostMemory::allocate(size_t bytes) {
  HostMemory memory;
  if (bytes == 0)
    return memory;
  if (bytes > std::numeric_limits<size_t>::max() - 2 * alignment)
    return resourceExhausted("cannot map " + std::to_string(bytes) + " bytes of memory: too large");

  // Whole huge pages: a tail of small pages would cost more translations than it saves bytes.
  size_t rounded = (bytes + alignment - 1) & ~(alignment - 1);
  size_t mappingSize = rounded + alignment;
  void *mapping = mmap(nullptr, mappingSize, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED)
    return resourceExhausted("cannot map " + std::to_string(bytes) +
                             " bytes of memory: " + std::strerror(errno));

  uintptr_t start = (reinterpret_cast<uintptr_t>(mapping) + alignment - 1) & ~(alignment - 1);
  memory.mapping_ = mapping;
  memory.mappingSize_ = mappingSize;
  memory.data_ = reinterpret_cast<uint8_t *>(start);
  memory.size_ = bytes;
  madvise(memory.data_, rounded, MADV_HUGEPAGE);
  return memory;
}

} // namespace llmir
