// Collectives over MPI. MPI's own reductions may add in any order, so bytes are gathered and added
// here, in rank order.

#include "llmir/Distributed/MPICollective.h"

#include "CollectiveCall.h"
#include "RankOrderSum.h"

#include <mpi.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace llmir {

namespace {

/// Most bytes of one MPI call: its counts are 32-bit.
constexpr int64_t largestMessage = int64_t(1) << 30;
/// Up to so many bytes in all, every rank gathers everything: one exchange instead of two.
constexpr int64_t gatherWhole = int64_t(64) << 10;
/// Elements that one rank adds up at a time.
constexpr int64_t largestPiece = int64_t(256) << 10;
constexpr int messageTag = 1;

Status statusOf(int code, const char *call) {
  if (code == MPI_SUCCESS)
    return Status::ok();
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS)
    length = 0;
  return internalError(std::string(call) + " failed with " + std::to_string(code) + ": " +
                       std::string(text, static_cast<size_t>(length)));
}

/// Memory that only grows.
class Scratch {
public:
  uint8_t *ofSize(int64_t bytes) {
    if (static_cast<int64_t>(bytes_.size()) < bytes)
      bytes_.resize(static_cast<size_t>(bytes));
    return bytes_.data();
  }

private:
  std::vector<uint8_t> bytes_;
};

class MPICollective final : public Collective {
public:
  MPICollective(MPI_Comm communicator, int32_t rank, int32_t size)
      : Collective(rank, size), communicator_(communicator), calls_(static_cast<size_t>(size)),
        parts_(static_cast<size_t>(size)) {}
  ~MPICollective() override {
    int finalized = 0;
    if (MPI_Finalized(&finalized) == MPI_SUCCESS && !finalized)
      MPI_Comm_free(&communicator_);
  }

  std::string_view transport() const override { return "mpi"; }

protected:
  Status doAllReduceSum(void *data, int64_t count, ReduceType type) override {
    LLMIR_RETURN_IF_ERROR(compare({CollectiveOperation::AllReduce, type, count, 0}));
    int64_t bytes = count * reduceTypeSize(type);
    uint8_t *sum = sum_.ofSize(bytes);
    if (bytes * size() <= gatherWhole)
      LLMIR_RETURN_IF_ERROR(sumByGathering(data, sum, count, type));
    else
      LLMIR_RETURN_IF_ERROR(sumInPieces(static_cast<const uint8_t *>(data), sum, count, type));
    if (bytes > 0)
      std::memcpy(data, sum, static_cast<size_t>(bytes));
    return Status::ok();
  }

  Status doReduceScatterSum(const void *input, void *output, int64_t count,
                            ReduceType type) override {
    LLMIR_RETURN_IF_ERROR(compare({CollectiveOperation::ReduceScatter, type, count, 0}));
    int64_t size = reduceTypeSize(type);
    for (int64_t first = 0; first < count; first += largestPiece) {
      int64_t piece = std::min(largestPiece, count - first);
      uint8_t *outgoing = outgoing_.ofSize(piece * size * this->size());
      for (int32_t to = 0; to < this->size(); ++to)
        std::memcpy(outgoing + to * piece * size,
                    static_cast<const uint8_t *>(input) + (to * count + first) * size,
                    static_cast<size_t>(piece * size));
      LLMIR_RETURN_IF_ERROR(
          exchangeAndSum(outgoing, static_cast<uint8_t *>(output) + first * size, piece, type));
    }
    return Status::ok();
  }

  Status doAllGather(const void *input, void *output, int64_t bytes) override {
    LLMIR_RETURN_IF_ERROR(compare({CollectiveOperation::AllGather, ReduceType::F32, bytes, 0}));
    if (bytes <= largestMessage)
      return gather(input, output, bytes);
    auto *target = static_cast<uint8_t *>(output);
    std::memcpy(target + rank() * bytes, input, static_cast<size_t>(bytes));
    for (int32_t root = 0; root < size(); ++root)
      LLMIR_RETURN_IF_ERROR(spread(target + root * bytes, bytes, root));
    return Status::ok();
  }

  Status doBroadcast(void *data, int64_t bytes, int32_t root) override {
    LLMIR_RETURN_IF_ERROR(compare({CollectiveOperation::Broadcast, ReduceType::F32, bytes, root}));
    return spread(static_cast<uint8_t *>(data), bytes, root);
  }

  Status doBarrier() override {
    return compare({CollectiveOperation::Barrier, ReduceType::F32, 0, 0});
  }

  Status doSend(const void *data, int64_t bytes, int32_t to) override {
    LLMIR_RETURN_IF_ERROR(
        check(MPI_Send(&bytes, sizeof bytes, MPI_BYTE, to, messageTag, communicator_), "MPI_Send"));
    auto *source = static_cast<const uint8_t *>(data);
    for (int64_t done = 0; done < bytes; done += largestMessage)
      LLMIR_RETURN_IF_ERROR(check(MPI_Send(source + done, pieceBytes(bytes - done), MPI_BYTE, to,
                                           messageTag, communicator_),
                                  "MPI_Send"));
    return Status::ok();
  }

  Status doReceive(void *data, int64_t bytes, int32_t from) override {
    int64_t sent = 0;
    LLMIR_RETURN_IF_ERROR(check(
        MPI_Recv(&sent, sizeof sent, MPI_BYTE, from, messageTag, communicator_, MPI_STATUS_IGNORE),
        "MPI_Recv"));
    bool fits = sent == bytes;
    for (int64_t done = 0; done < sent; done += largestMessage) {
      int length = pieceBytes(sent - done);
      uint8_t *target = fits ? static_cast<uint8_t *>(data) + done : incoming_.ofSize(length);
      LLMIR_RETURN_IF_ERROR(check(
          MPI_Recv(target, length, MPI_BYTE, from, messageTag, communicator_, MPI_STATUS_IGNORE),
          "MPI_Recv"));
    }
    if (!fits)
      return invalidArgument("expected a message of " + std::to_string(bytes) +
                             " bytes, but the sender has one of " + std::to_string(sent));
    return Status::ok();
  }

private:
  static int pieceBytes(int64_t rest) { return static_cast<int>(std::min(rest, largestMessage)); }

  /// A failure of MPI ends the group.
  Status check(int code, const char *call) {
    Status status = statusOf(code, call);
    return status.isOk() ? status : fail(std::move(status));
  }

  Status gather(const void *input, void *output, int64_t bytes) {
    int length = static_cast<int>(bytes);
    return check(MPI_Allgather(input, length, MPI_BYTE, output, length, MPI_BYTE, communicator_),
                 "MPI_Allgather");
  }

  Status spread(uint8_t *data, int64_t bytes, int32_t root) {
    for (int64_t done = 0; done < bytes; done += largestMessage)
      LLMIR_RETURN_IF_ERROR(
          check(MPI_Bcast(data + done, pieceBytes(bytes - done), MPI_BYTE, root, communicator_),
                "MPI_Bcast"));
    return Status::ok();
  }

  Status compare(const CollectiveCall &call) {
    LLMIR_RETURN_IF_ERROR(gather(&call, calls_.data(), sizeof call));
    return checkSameCalls(calls_);
  }

  /// Adds `size()` parts of `count` elements that lie one after another.
  void sumParts(const uint8_t *parts, void *sum, int64_t count, ReduceType type) {
    for (size_t rank = 0; rank < parts_.size(); ++rank)
      parts_[rank] = parts + static_cast<int64_t>(rank) * count * reduceTypeSize(type);
    sumInRankOrder(parts_, {0, count}, {&sum, 1}, 0, type);
  }

  Status sumByGathering(const void *data, void *sum, int64_t count, ReduceType type) {
    int64_t bytes = count * reduceTypeSize(type);
    uint8_t *parts = incoming_.ofSize(bytes * size());
    LLMIR_RETURN_IF_ERROR(gather(data, parts, bytes));
    sumParts(parts, sum, count, type);
    return Status::ok();
  }

  /// Gives every rank its part of `outgoing` ([size][count]) and adds what arrives.
  Status exchangeAndSum(const uint8_t *outgoing, uint8_t *sum, int64_t count, ReduceType type) {
    int bytes = static_cast<int>(count * reduceTypeSize(type));
    uint8_t *parts = incoming_.ofSize(int64_t(bytes) * size());
    LLMIR_RETURN_IF_ERROR(
        check(MPI_Alltoall(outgoing, bytes, MPI_BYTE, parts, bytes, MPI_BYTE, communicator_),
              "MPI_Alltoall"));
    sumParts(parts, sum, count, type);
    return Status::ok();
  }

  /// Each rank adds up its share of the elements; the shares are then gathered.
  Status sumInPieces(const uint8_t *data, uint8_t *sum, int64_t count, ReduceType type) {
    int64_t size = reduceTypeSize(type);
    int64_t share = std::min(largestPiece, (count + this->size() - 1) / this->size());
    int64_t together = share * this->size();
    uint8_t *outgoing = outgoing_.ofSize(together * size);
    uint8_t *mine = share_.ofSize(share * size);
    for (int64_t first = 0; first < count; first += together) {
      auto bytes = static_cast<size_t>(std::min(together, count - first) * size);
      std::memcpy(outgoing, data + first * size, bytes);
      std::memset(outgoing + bytes, 0, static_cast<size_t>(together * size) - bytes);
      LLMIR_RETURN_IF_ERROR(exchangeAndSum(outgoing, mine, share, type));
      LLMIR_RETURN_IF_ERROR(gather(mine, outgoing, share * size));
      std::memcpy(sum + first * size, outgoing, bytes);
    }
    return Status::ok();
  }

  MPI_Comm communicator_;
  std::vector<CollectiveCall> calls_;
  std::vector<const void *> parts_;
  Scratch incoming_, outgoing_, share_, sum_;
};

} // namespace

StatusOr<std::unique_ptr<MPISession>> MPISession::start() {
  int finalized = 0, initialized = 0, level = MPI_THREAD_SINGLE;
  LLMIR_RETURN_IF_ERROR(statusOf(MPI_Finalized(&finalized), "MPI_Finalized"));
  if (finalized)
    return failedPrecondition("MPI was finalised in this process and cannot start again");
  LLMIR_RETURN_IF_ERROR(statusOf(MPI_Initialized(&initialized), "MPI_Initialized"));
  if (initialized)
    LLMIR_RETURN_IF_ERROR(statusOf(MPI_Query_thread(&level), "MPI_Query_thread"));
  else
    LLMIR_RETURN_IF_ERROR(statusOf(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level),
                                   "MPI_Init_thread"));
  std::unique_ptr<MPISession> session(new MPISession(initialized ? Owner::Others : Owner::Us));
  if (level < MPI_THREAD_SERIALIZED)
    return failedPrecondition("expected MPI with thread level " +
                              std::to_string(MPI_THREAD_SERIALIZED) + " (serialized), but it has " +
                              std::to_string(level));
  return session;
}

MPISession::~MPISession() {
  if (owner_ == Owner::Us)
    MPI_Finalize();
}

StatusOr<std::unique_ptr<Collective>> MPISession::world() {
  MPI_Comm communicator = MPI_COMM_NULL;
  int rank = 0, size = 0;
  LLMIR_RETURN_IF_ERROR(statusOf(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN),
                                 "MPI_Comm_set_errhandler"));
  LLMIR_RETURN_IF_ERROR(statusOf(MPI_Comm_dup(MPI_COMM_WORLD, &communicator), "MPI_Comm_dup"));
  LLMIR_RETURN_IF_ERROR(statusOf(MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN),
                                 "MPI_Comm_set_errhandler"));
  LLMIR_RETURN_IF_ERROR(statusOf(MPI_Comm_rank(communicator, &rank), "MPI_Comm_rank"));
  LLMIR_RETURN_IF_ERROR(statusOf(MPI_Comm_size(communicator, &size), "MPI_Comm_size"));
  return std::unique_ptr<Collective>(std::make_unique<MPICollective>(communicator, rank, size));
}

} // namespace llmir
