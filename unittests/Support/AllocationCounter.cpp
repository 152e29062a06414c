// Replaces the allocation functions of the GNU C library, which keeps its own under other names.

#include "AllocationCounter.h"

#include <atomic>
#include <cerrno>
#include <cstddef>

static std::atomic<int64_t> numAllocations{0};

int64_t llmir::testing::countAllocations() { return numAllocations.load(); }

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" {
void *__libc_malloc(size_t size) noexcept;
void *__libc_calloc(size_t count, size_t size) noexcept;
void *__libc_realloc(void *memory, size_t size) noexcept;
void *__libc_memalign(size_t alignment, size_t size) noexcept;
void __libc_free(void *memory) noexcept;

void *malloc(size_t size) noexcept {
  ++numAllocations;
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) noexcept {
  ++numAllocations;
  return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) noexcept {
  ++numAllocations;
  return __libc_realloc(memory, size);
}
void *memalign(size_t alignment, size_t size) noexcept {
  ++numAllocations;
  return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) noexcept { return memalign(alignment, size); }
int posix_memalign(void **memory, size_t alignment, size_t size) noexcept {
  *memory = memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}
void free(void *memory) noexcept { __libc_free(memory); }
} // extern "C"
#endif
