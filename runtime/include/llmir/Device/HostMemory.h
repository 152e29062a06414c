// HostMemory: the one way in which weights, KV pools and workspaces get their memory: an anonymous
// mapping, aligned to huge pages and advised to use them. It is not a general allocator.

#ifndef LLMIR_DEVICE_HOSTMEMORY_H
#define LLMIR_DEVICE_HOSTMEMORY_H

#include "llmir/Base/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace llmir {

/// An owned range of zeroed pages. Pages appear on first touch, near the core that touches them.
/// Move-only; freed by the destructor. Not synchronised, but its bytes may be used by any thread.
class HostMemory {
public:
  /// Bytes to which data() is aligned: a huge page.
  static constexpr size_t alignment = size_t(2) << 20;

  /// No memory: data() is null, size() is 0.
  HostMemory() = default;
  HostMemory(HostMemory &&other) noexcept;
  HostMemory &operator=(HostMemory &&other) noexcept;
  HostMemory(const HostMemory &) = delete;
  HostMemory &operator=(const HostMemory &) = delete;
  ~HostMemory();

  /// Maps `bytes` of zeroed memory (0 gives an empty one). ResourceExhausted, with the size, when
  /// the system refuses.
  static StatusOr<HostMemory> allocate(size_t bytes);

  uint8_t *data() const { return data_; }
  /// Bytes asked for.
  size_t size() const { return size_; }
  std::span<uint8_t> bytes() const { return {data_, size_}; }

private:
  void unmap();

  uint8_t *data_ = nullptr;
  size_t size_ = 0;
  void *mapping_ = nullptr;
  size_t mappingSize_ = 0;
};

} // namespace llmir

#endif // LLMIR_DEVICE_HOSTMEMORY_H
