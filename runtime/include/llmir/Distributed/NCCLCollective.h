// Collectives of GPUs through NCCL, or RCCL, which has the same entry points. The library is opened
// when it is asked for; nothing here needs it, or a GPU, to build or to start.

#ifndef LLMIR_DISTRIBUTED_NCCLCOLLECTIVE_H
#define LLMIR_DISTRIBUTED_NCCLCOLLECTIVE_H

#include "llmir/Base/Status.h"
#include "llmir/Distributed/Collective.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace llmir {

/// Names a group before it exists: made by one rank, given to the others by any means (a broadcast
/// of a host collective, say).
using NCCLGroupId = std::array<char, 128>;

/// Adds up gathered parts on the device. Queues, on `stream`, the sum of `ranks` parts of `count`
/// elements at `parts` into `sum`, adding in rank order.
struct DeviceSum {
  using Function = Status (*)(void *context, const void *parts, void *sum, int64_t count,
                              int32_t ranks, ReduceType type, void *stream);
  Function function = nullptr;
  void *context = nullptr;
  void *scratch = nullptr;  ///< Device memory for the parts of all ranks, and the sum.
  int64_t scratchBytes = 0; ///< An all-reduce that needs more is ResourceExhausted.
};

/// Device memory through which a few bytes of the host travel (Collective::allGatherHost and
/// agree), and how to get them there and back: the driver is the caller's.
struct HostStaging {
  /// Copies `bytes` bytes after what is queued on `stream`, and returns when both arrays may be
  /// used again.
  using Copy = Status (*)(void *context, void *target, const void *source, int64_t bytes,
                          void *stream);
  Copy toDevice = nullptr;
  Copy toHost = nullptr;
  void *context = nullptr;
  void *memory = nullptr;
  int64_t bytes = 0; ///< At least one more than there are ranks; less than needed makes pieces.
};

/// One rank of a group of GPUs.
struct NCCLRank {
  NCCLGroupId group{};
  int32_t rank = 0;
  int32_t size = 1;
  void *stream = nullptr;      ///< The CUDA or HIP stream on which everything is queued.
  void *barrierWord = nullptr; ///< Four bytes of device memory for barrier().
  /// With one, all-reduce gathers and adds in rank order. Without one it is the library's own,
  /// whose order of addition depends on its version, the topology and the size.
  DeviceSum sum;
  HostStaging staging; ///< Without one, agree() and allGatherHost() are FailedPrecondition.
};

/// The opened library; its collectives keep it open.
class NCCLLibrary : public std::enable_shared_from_this<NCCLLibrary> {
public:
  /// Opens the library of that path, or the first of libnccl.so.2, libnccl.so, librccl.so.1 and
  /// librccl.so. NotFound with what was tried and why it failed; FailedPrecondition when a function
  /// is missing in it.
  static StatusOr<std::shared_ptr<NCCLLibrary>> open(const std::string &path = {});
  ~NCCLLibrary();
  NCCLLibrary(const NCCLLibrary &) = delete;
  NCCLLibrary &operator=(const NCCLLibrary &) = delete;

  /// The library's version, as it counts: 2.18.3 is 21803.
  int32_t version() const { return version_; }
  /// A new group.
  StatusOr<NCCLGroupId> newGroup();
  /// This process's rank of a group, on the current device; returns when all ranks have called it.
  /// Its arrays are device memory, and its operations return when they are queued: errors of the
  /// device come with a later call. Sizes are not compared between ranks. send() and receive()
  /// meet.
  StatusOr<std::unique_ptr<Collective>> join(const NCCLRank &rank);

private:
  struct Functions;
  friend class NCCLCollective;
  NCCLLibrary();

  void *handle_ = nullptr;
  std::unique_ptr<Functions> functions_;
  int32_t version_ = 0;
};

} // namespace llmir

#endif // LLMIR_DISTRIBUTED_NCCLCOLLECTIVE_H
