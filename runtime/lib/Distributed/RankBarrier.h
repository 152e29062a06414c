// RankBarrier and Mailbox: how the threads of a group meet and hand each other an array. One atomic
// word each; waiting is a short spin, then a futex.

#ifndef LLMIR_LIB_DISTRIBUTED_RANKBARRIER_H
#define LLMIR_LIB_DISTRIBUTED_RANKBARRIER_H

#include <atomic>
#include <cstdint>

namespace llmir {

/// Lets `ranks` threads wait for each other, again and again, until it is closed.
class RankBarrier {
public:
  /// Waiters spin `spins` rounds before they sleep.
  RankBarrier(uint32_t ranks, uint32_t spins) : ranks_(ranks), spins_(spins) {}

  /// True when all have arrived. False on every rank that has not got through when the barrier is
  /// closed: all get through, or none.
  bool arrive() { return arrive(Meeting::MayBeClosed); }
  /// For a second meeting of ranks that all got through the first: closing does not stop it.
  void arriveAgain() { arrive(Meeting::AlwaysMet); }
  /// Refuses those who wait in arrive() and all who come later.
  void close();

private:
  enum class Meeting { MayBeClosed, AlwaysMet };
  static constexpr uint32_t arrivedMask = 0xffffu;
  static constexpr uint32_t generationUnit = 0x10000u;
  static constexpr uint32_t generationMask = 0x7fff0000u;
  static constexpr uint32_t closedBit = 0x80000000u;

  bool arrive(Meeting meeting);
  bool waitForOthers(uint32_t generation, Meeting meeting);

  const uint32_t ranks_;
  const uint32_t spins_;
  alignas(64) std::atomic<uint32_t> state_{0}; ///< Closed, generation, number arrived.
};

/// One sender's offers to one receiver, one at a time.
class Mailbox {
public:
  /// What became of an offer, or of the wait for one.
  enum class Outcome { Done, OtherSize, Closed };
  struct Result {
    Outcome outcome = Outcome::Done;
    int64_t otherBytes = 0; ///< The size that the other side has.
  };

  /// Returns when the receiver has copied the array, or refused it for its size.
  Result offer(const void *data, int64_t bytes);
  /// Waits for an offer and copies it if it has `bytes` bytes.
  Result take(void *data, int64_t bytes);
  void close();

private:
  static constexpr uint32_t empty = 0, offered = 1, copying = 2, taken = 3, phaseMask = 3;
  static constexpr uint32_t closedBit = 4;

  void setPhase(uint32_t from, uint32_t to);

  std::atomic<uint32_t> state_{empty};
  const void *data_ = nullptr;
  int64_t bytes_ = 0;
  int64_t receiverBytes_ = 0;
};

} // namespace llmir

#endif // LLMIR_LIB_DISTRIBUTED_RANKBARRIER_H
