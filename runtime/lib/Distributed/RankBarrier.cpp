// The meeting of ranks as one word that only grows from generation to generation.

#include "RankBarrier.h"

#include <cstring>

namespace llmir {

namespace {

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

} // namespace

bool RankBarrier::arrive(Meeting meeting) {
  uint32_t seen = state_.load(std::memory_order_acquire);
  while (true) {
    if (meeting == Meeting::MayBeClosed && (seen & closedBit))
      return false;
    bool last = (seen & arrivedMask) + 1 == ranks_;
    uint32_t next = seen + 1;
    if (last)
      next = (seen & closedBit) | ((seen + generationUnit) & generationMask);
    if (state_.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
      if (!last)
        return waitForOthers(seen & generationMask, meeting);
      state_.notify_all();
      return true;
    }
  }
}

bool RankBarrier::waitForOthers(uint32_t generation, Meeting meeting) {
  for (uint32_t round = 0;; ++round) {
    uint32_t seen = state_.load(std::memory_order_acquire);
    if ((seen & generationMask) != generation)
      return true;
    if (meeting == Meeting::MayBeClosed && (seen & closedBit))
      return false;
    if (round < spins_)
      relax();
    else
      state_.wait(seen, std::memory_order_acquire);
  }
}

void RankBarrier::close() {
  state_.fetch_or(closedBit, std::memory_order_acq_rel);
  state_.notify_all();
}

void Mailbox::setPhase(uint32_t from, uint32_t to) {
  // The two phases differ in known bits, and the closed bit may come at any time.
  state_.fetch_xor(from ^ to, std::memory_order_acq_rel);
  state_.notify_all();
}

Mailbox::Result Mailbox::offer(const void *data, int64_t bytes) {
  data_ = data;
  bytes_ = bytes;
  setPhase(empty, offered);
  while (true) {
    uint32_t seen = state_.load(std::memory_order_acquire);
    if ((seen & phaseMask) == taken)
      break;
    if (seen == (offered | closedBit) &&
        state_.compare_exchange_strong(seen, closedBit, std::memory_order_acq_rel))
      return {Outcome::Closed, 0};
    if (seen == (copying | closedBit) || !(seen & closedBit))
      state_.wait(seen, std::memory_order_acquire);
  }
  Result result{receiverBytes_ == bytes ? Outcome::Done : Outcome::OtherSize, receiverBytes_};
  setPhase(taken, empty);
  return result;
}

Mailbox::Result Mailbox::take(void *data, int64_t bytes) {
  while (true) {
    uint32_t seen = state_.load(std::memory_order_acquire);
    if (seen == offered && state_.compare_exchange_strong(seen, copying, std::memory_order_acq_rel))
      break;
    if (seen & closedBit)
      return {Outcome::Closed, 0};
    if (seen != offered)
      state_.wait(seen, std::memory_order_acquire);
  }
  Result result{bytes_ == bytes ? Outcome::Done : Outcome::OtherSize, bytes_};
  if (result.outcome == Outcome::Done && bytes > 0)
    std::memcpy(data, data_, static_cast<size_t>(bytes));
  receiverBytes_ = bytes;
  setPhase(copying, taken);
  return result;
}

void Mailbox::close() {
  state_.fetch_or(closedBit, std::memory_order_acq_rel);
  state_.notify_all();
}

} // namespace llmir
