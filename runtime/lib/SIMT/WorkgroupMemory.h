// WorkgroupMemory: the memory that the threads of a block share, and who accessed each element of
// it when, so that races show.

#ifndef LLMIR_RUNTIME_LIB_SIMT_WORKGROUPMEMORY_H
#define LLMIR_RUNTIME_LIB_SIMT_WORKGROUPMEMORY_H

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace llmir::simt {

class WorkgroupMemory {
public:
  explicit WorkgroupMemory(int64_t bytes);

  uint8_t *data() const { return bytes_.get(); }
  /// For the next block: nothing is written yet, and what is there is no number.
  void reset();

  /// What an access finds: another thread that accessed the same element in the same phase (one of
  /// the accesses being a write), or nobody's value.
  struct Conflict {
    bool isUndefined = false;
    int32_t otherThread = 0;
    bool otherWrote = false;
  };
  /// Notes an access to the element at byte `offset`: all accesses to an element name its first
  /// byte. Offsets outside the memory are ignored.
  std::optional<Conflict> access(int64_t offset, bool isWrite, int32_t thread, int64_t phase);

private:
  /// The last accesses to an element. `many`: more than one thread has read it in that phase.
  struct Shadow {
    int64_t writePhase = -1;
    int64_t readPhase = -1;
    int32_t writer = -1;
    int32_t reader = -1;
    bool many = false;
  };
  struct Release {
    void operator()(uint8_t *bytes) const;
  };
  int64_t size_;
  std::unique_ptr<uint8_t, Release> bytes_;
  std::vector<Shadow> shadows_;
};

} // namespace llmir::simt

#endif // LLMIR_RUNTIME_LIB_SIMT_WORKGROUPMEMORY_H
