// Collective: what the ranks of a group do together: sums, gathers, broadcasts, messages. The
// interface and its checks; how bytes travel is the implementations' (threads, MPI, NCCL). It knows
// nothing of models or caches.

#ifndef LLMIR_DISTRIBUTED_COLLECTIVE_H
#define LLMIR_DISTRIBUTED_COLLECTIVE_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace llmir {

/// Elements that can be added up. f16 and bf16 are added in f32 and rounded once, to nearest even.
enum class ReduceType : uint32_t { F32, F16, BF16 };

/// Bytes of one element.
inline int64_t reduceTypeSize(ReduceType type) { return type == ReduceType::F32 ? 4 : 2; }
/// `f32`, `f16` or `bf16`.
std::string_view reduceTypeName(ReduceType type);

/// In which order the elements of the ranks are added.
enum class SumOrder {
  RankOrder,  ///< ((rank 0 + rank 1) + rank 2) …: the same bytes on every rank and every time.
  Unspecified ///< As the library likes; ranks agree, but not with a sequential sum.
};

/// Where the arrays of a collective lie.
enum class CollectiveMemory { Host, Device };

/// One rank's end of a group. Every rank calls the same operations in the same order with the same
/// sizes (threads and MPI compare: a mismatch is InvalidArgument with both calls, on every rank,
/// and changes nothing). A call that is refused at once (a null array, a negative size, no such
/// rank) is not made: the others wait for another. One thread at a time uses an end; which thread
/// may change. After a failure of the transport every later call fails with the same reason.
/// Nothing is allocated once an operation of that size has run.
class Collective {
public:
  virtual ~Collective();
  Collective(const Collective &) = delete;
  Collective &operator=(const Collective &) = delete;

  int32_t rank() const { return rank_; }
  int32_t size() const { return size_; }
  /// `threads`, `mpi`, `nccl`: for messages.
  virtual std::string_view transport() const = 0;
  virtual SumOrder sumOrder() const { return SumOrder::RankOrder; }
  virtual CollectiveMemory memory() const { return CollectiveMemory::Host; }

  /// Ok, or the failure of the transport that ended this group.
  const Status &status() const { return status_; }

  /// Adds up `count` elements of all ranks, in place. On failure `data` is as it was.
  Status allReduceSum(void *data, int64_t count, ReduceType type);
  Status allReduceSum(std::span<float> data) {
    return allReduceSum(data.data(), static_cast<int64_t>(data.size()), ReduceType::F32);
  }
  /// Adds up [size][count] elements of all ranks and leaves the part `rank` in `output` ([count],
  /// apart from the input).
  Status reduceScatterSum(const void *input, void *output, int64_t count, ReduceType type);
  /// Concatenates `bytes` bytes of each rank, in rank order, into `output` ([size][bytes], apart
  /// from the input).
  Status allGather(const void *input, void *output, int64_t bytes);
  /// allGather() of arrays in host memory, whatever memory() is; one over device memory copies them
  /// there and back, and returns when they are here. For what ranks tell each other, not for data.
  Status allGatherHost(const void *input, void *output, int64_t bytes);
  /// Copies `bytes` bytes of `root` to everybody.
  Status broadcast(void *data, int64_t bytes, int32_t root);
  /// Returns when all ranks have called it.
  Status barrier();
  /// A message to another rank, in order of sending; returns when `data` may be used again, which
  /// may be only when the receiver has it.
  Status send(const void *data, int64_t bytes, int32_t to);
  /// The next message of `from`. InvalidArgument when it has another size; the message is gone
  /// then.
  Status receive(void *data, int64_t bytes, int32_t from);

  /// Whether all ranks pass an ok status: ok, or on every rank the first rank's error with `rank N`
  /// before it (of a message as long as a Vote has room for).
  Status agree(const Status &mine);

protected:
  Collective(int32_t rank, int32_t size) : rank_(rank), size_(size) {}
  /// Ends this group: `reason` is the answer of every later call. Returns the reason.
  Status fail(Status reason);

  virtual Status doAllReduceSum(void *data, int64_t count, ReduceType type) = 0;
  virtual Status doReduceScatterSum(const void *input, void *output, int64_t count,
                                    ReduceType type) = 0;
  virtual Status doAllGather(const void *input, void *output, int64_t bytes) = 0;
  virtual Status doAllGatherHost(const void *input, void *output, int64_t bytes) {
    return doAllGather(input, output, bytes);
  }
  virtual Status doBroadcast(void *data, int64_t bytes, int32_t root) = 0;
  virtual Status doBarrier() = 0;
  virtual Status doSend(const void *data, int64_t bytes, int32_t to) = 0;
  virtual Status doReceive(void *data, int64_t bytes, int32_t from) = 0;

private:
  Status checkArray(const void *data, int64_t count) const;
  Status checkPeer(int32_t peer) const;

  /// What a rank says in agree().
  struct Vote {
    int32_t code = 0;
    char message[252] = {};
  };

  int32_t rank_;
  int32_t size_;
  Status status_;
  std::vector<Vote> votes_;
};

} // namespace llmir

#endif // LLMIR_DISTRIBUTED_COLLECTIVE_H
