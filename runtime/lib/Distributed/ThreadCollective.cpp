// Every operation is two meetings: at the first the ranks have published their arrays, after the
// second these may be used again. In between, each rank does its share of the copying or adding.

#include "llmir/Distributed/ThreadCollective.h"

#include "CollectiveCall.h"
#include "RankBarrier.h"
#include "RankOrderSum.h"

#include "llmir/Device/WorkerTeam.h"

#include <cassert>
#include <cstring>
#include <mutex>
#include <string>

namespace llmir {

namespace {

/// Rounds of spinning where every rank may have a processor of its own.
constexpr uint32_t spinRounds = 2000;
/// Elements in multiples of which the work of a sum is divided: two cache lines of f16.
constexpr int64_t sumGranule = 64;

} // namespace

struct ThreadCollectiveGroup::State {
  explicit State(int32_t size)
      : barrier(static_cast<uint32_t>(size),
                static_cast<size_t>(size) <= availableCPUs().size() ? spinRounds : 0),
        calls(static_cast<size_t>(size)), inputs(static_cast<size_t>(size)),
        outputs(static_cast<size_t>(size)),
        mailboxes(static_cast<size_t>(size) * static_cast<size_t>(size)) {}

  int32_t size() const { return static_cast<int32_t>(calls.size()); }
  Mailbox &mailbox(int32_t from, int32_t to) {
    return mailboxes[static_cast<size_t>(from) * calls.size() + static_cast<size_t>(to)];
  }
  Status whyAbandoned() {
    std::lock_guard<std::mutex> lock(mutex);
    return reason;
  }

  RankBarrier barrier;
  std::vector<CollectiveCall> calls; ///< What each rank is asking for.
  std::vector<const void *> inputs;  ///< Of each rank.
  std::vector<void *> outputs;       ///< Of each rank; null where only the rank itself writes.
  std::vector<Mailbox> mailboxes;    ///< [from][to]
  std::mutex mutex;                  ///< Guards reason.
  Status reason;
};

/// One rank's end.
class ThreadCollectiveGroup::End final : public Collective {
public:
  End(State &state, int32_t rank) : Collective(rank, state.size()), state_(state) {}

  std::string_view transport() const override { return "threads"; }

protected:
  Status doAllReduceSum(void *data, int64_t count, ReduceType type) override {
    return together({CollectiveOperation::AllReduce, type, count, 0}, data, data, [&] {
      WorkRange mine = splitEvenly(count, sumGranule, rank(), size());
      sumInRankOrder(state_.inputs, {mine.begin, mine.end - mine.begin}, state_.outputs, mine.begin,
                     type);
    });
  }

  Status doReduceScatterSum(const void *input, void *output, int64_t count,
                            ReduceType type) override {
    return together({CollectiveOperation::ReduceScatter, type, count, 0}, input, output, [&] {
      sumInRankOrder(state_.inputs, {rank() * count, count}, {&output, 1}, 0, type);
    });
  }

  Status doAllGather(const void *input, void *output, int64_t bytes) override {
    return together({CollectiveOperation::AllGather, ReduceType::F32, bytes, 0}, input, output,
                    [&] {
                      auto *target = static_cast<uint8_t *>(output);
                      for (int32_t rank = 0; rank < size(); ++rank, target += bytes)
                        copy(target, state_.inputs[static_cast<size_t>(rank)], bytes);
                    });
  }

  Status doBroadcast(void *data, int64_t bytes, int32_t root) override {
    return together({CollectiveOperation::Broadcast, ReduceType::F32, bytes, root}, data, data,
                    [&] {
                      if (rank() != root)
                        copy(data, state_.inputs[static_cast<size_t>(root)], bytes);
                    });
  }

  Status doBarrier() override {
    return together({CollectiveOperation::Barrier, ReduceType::F32, 0, 0}, nullptr, nullptr, [] {});
  }

  Status doSend(const void *data, int64_t bytes, int32_t to) override {
    return finish(state_.mailbox(rank(), to).offer(data, bytes), bytes, "receiver");
  }

  Status doReceive(void *data, int64_t bytes, int32_t from) override {
    return finish(state_.mailbox(from, rank()).take(data, bytes), bytes, "sender");
  }

private:
  static void copy(void *target, const void *source, int64_t bytes) {
    if (bytes > 0)
      std::memcpy(target, source, static_cast<size_t>(bytes));
  }

  /// Runs `work` on every rank between the two meetings, if all make the same call.
  template <typename Work>
  Status together(const CollectiveCall &call, const void *input, void *output, Work &&work) {
    auto index = static_cast<size_t>(rank());
    state_.calls[index] = call;
    state_.inputs[index] = input;
    state_.outputs[index] = output;
    if (!state_.barrier.arrive())
      return fail(state_.whyAbandoned());
    Status same = checkSameCalls(state_.calls);
    if (same.isOk())
      work();
    state_.barrier.arriveAgain();
    return same;
  }

  Status finish(const Mailbox::Result &result, int64_t bytes, const char *other) {
    if (result.outcome == Mailbox::Outcome::Closed)
      return fail(state_.whyAbandoned());
    if (result.outcome == Mailbox::Outcome::OtherSize)
      return invalidArgument("expected a message of " + std::to_string(bytes) + " bytes, but the " +
                             other + " has one of " + std::to_string(result.otherBytes));
    return Status::ok();
  }

  State &state_;
};

ThreadCollectiveGroup::ThreadCollectiveGroup(int32_t size) : state_(std::make_unique<State>(size)) {
  for (int32_t rank = 0; rank < size; ++rank)
    ends_.push_back(std::make_unique<End>(*state_, rank));
}

ThreadCollectiveGroup::~ThreadCollectiveGroup() = default;

StatusOr<std::unique_ptr<ThreadCollectiveGroup>> ThreadCollectiveGroup::create(int32_t size) {
  if (size < 1 || size > maxRanks)
    return invalidArgument("expected 1 to " + std::to_string(maxRanks) + " ranks, but got " +
                           std::to_string(size));
  return std::unique_ptr<ThreadCollectiveGroup>(new ThreadCollectiveGroup(size));
}

int32_t ThreadCollectiveGroup::size() const { return state_->size(); }

Collective &ThreadCollectiveGroup::rank(int32_t rank) {
  assert(rank >= 0 && rank < size() && "no such rank");
  return *ends_[static_cast<size_t>(rank)];
}

void ThreadCollectiveGroup::abandon(const Status &reason) {
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    if (!state_->reason.isOk())
      return;
    state_->reason = failedPrecondition("the group was abandoned: " + reason.message());
  }
  state_->barrier.close();
  for (Mailbox &mailbox : state_->mailboxes)
    mailbox.close();
}

} // namespace llmir
