// ThreadCollectiveGroup: a group whose ranks are threads of this process. They read and write each
// other's arrays directly; a rank that waits sleeps after a short spin, so that more ranks than
// processors are no waste.

#ifndef LLMIR_DISTRIBUTED_THREADCOLLECTIVE_H
#define LLMIR_DISTRIBUTED_THREADCOLLECTIVE_H

#include "llmir/Base/Status.h"
#include "llmir/Distributed/Collective.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace llmir {

/// Owns the ends of all ranks. Make it first, hand rank(i) to thread i, destroy it when all threads
/// have ended.
class ThreadCollectiveGroup {
public:
  /// Most ranks of a group.
  static constexpr int32_t maxRanks = 256;

  /// InvalidArgument for a size that is not 1 to maxRanks.
  static StatusOr<std::unique_ptr<ThreadCollectiveGroup>> create(int32_t size);
  ~ThreadCollectiveGroup();
  ThreadCollectiveGroup(const ThreadCollectiveGroup &) = delete;
  ThreadCollectiveGroup &operator=(const ThreadCollectiveGroup &) = delete;

  int32_t size() const;
  Collective &rank(int32_t rank);

  /// Ends the group: calls that wait and all later ones return FailedPrecondition with the reason;
  /// an operation that all ranks have entered is finished first. For a rank that cannot go on; any
  /// thread may call it, and only the first reason counts.
  void abandon(const Status &reason);

private:
  struct State;
  class End;
  explicit ThreadCollectiveGroup(int32_t size);

  std::unique_ptr<State> state_;
  std::vector<std::unique_ptr<End>> ends_;
};

} // namespace llmir

#endif // LLMIR_DISTRIBUTED_THREADCOLLECTIVE_H
