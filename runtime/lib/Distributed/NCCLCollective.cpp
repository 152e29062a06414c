// Queues NCCL's operations on a stream. The arrays are device memory, so the only arithmetic here
// is NCCL's own or the caller's kernel.

#include "llmir/Distributed/NCCLCollective.h"

#include "NCCLLibrary.h"

#include <algorithm>
#include <string>

namespace llmir {

namespace {

NCCLType typeOf(ReduceType type) {
  switch (type) {
  case ReduceType::F32:
    return NCCLType::Float32;
  case ReduceType::F16:
    return NCCLType::Float16;
  case ReduceType::BF16:
    return NCCLType::BFloat16;
  }
  return NCCLType::Int8;
}

size_t asSize(int64_t count) { return static_cast<size_t>(count); }

} // namespace

/// One GPU's end of a group.
class NCCLCollective final : public Collective {
public:
  NCCLCollective(std::shared_ptr<NCCLLibrary> library, const NCCLRank &options,
                 NCCLCommunicator communicator)
      : Collective(options.rank, options.size), library_(std::move(library)), options_(options),
        communicator_(communicator) {}
  ~NCCLCollective() override { functions().destroy(communicator_); }

  std::string_view transport() const override { return "nccl"; }
  CollectiveMemory memory() const override { return CollectiveMemory::Device; }
  SumOrder sumOrder() const override {
    return options_.sum.function ? SumOrder::RankOrder : SumOrder::Unspecified;
  }

protected:
  Status doAllReduceSum(void *data, int64_t count, ReduceType type) override {
    if (!options_.sum.function)
      return check(functions().allReduce(data, data, asSize(count), typeOf(type),
                                         NCCLOperation::Sum, communicator_, options_.stream),
                   "ncclAllReduce");
    LLMIR_RETURN_IF_ERROR(checkScratch(count * reduceTypeSize(type)));
    LLMIR_RETURN_IF_ERROR(check(functions().allGather(data, options_.sum.scratch, asSize(count),
                                                      typeOf(type), communicator_, options_.stream),
                                "ncclAllGather"));
    return options_.sum.function(options_.sum.context, options_.sum.scratch, data, count, size(),
                                 type, options_.stream);
  }

  Status doReduceScatterSum(const void *input, void *output, int64_t count,
                            ReduceType type) override {
    if (options_.sum.function)
      return unimplemented("reduce-scatter has no rank-order sum over NCCL; use all-reduce");
    return check(functions().reduceScatter(input, output, asSize(count), typeOf(type),
                                           NCCLOperation::Sum, communicator_, options_.stream),
                 "ncclReduceScatter");
  }

  Status doAllGather(const void *input, void *output, int64_t bytes) override {
    return check(functions().allGather(input, output, asSize(bytes), NCCLType::Int8, communicator_,
                                       options_.stream),
                 "ncclAllGather");
  }

  Status doAllGatherHost(const void *input, void *output, int64_t bytes) override {
    const HostStaging &staging = options_.staging;
    // This rank's piece, then everybody's.
    int64_t most = staging.bytes / (size() + 1);
    if (!staging.toDevice || !staging.toHost || !staging.memory || most < 1)
      return failedPrecondition("telling the other ranks something over NCCL needs " +
                                std::to_string(size() + 1) +
                                " or more bytes of device memory and functions that copy "
                                "(NCCLRank::staging), but there are " +
                                std::to_string(staging.bytes));
    auto *mine = static_cast<uint8_t *>(staging.memory);
    auto *from = static_cast<const uint8_t *>(input);
    auto *to = static_cast<uint8_t *>(output);
    for (int64_t done = 0, piece = 0; done < bytes; done += piece) {
      piece = std::min(most, bytes - done);
      uint8_t *all = mine + piece;
      LLMIR_RETURN_IF_ERROR(
          staged(staging.toDevice(staging.context, mine, from + done, piece, options_.stream)));
      LLMIR_RETURN_IF_ERROR(doAllGather(mine, all, piece));
      for (int64_t rank = 0; rank < size(); ++rank)
        LLMIR_RETURN_IF_ERROR(staged(staging.toHost(staging.context, to + rank * bytes + done,
                                                    all + rank * piece, piece, options_.stream)));
    }
    return Status::ok();
  }

  Status doBroadcast(void *data, int64_t bytes, int32_t root) override {
    return check(functions().broadcast(data, data, asSize(bytes), NCCLType::Int8, root,
                                       communicator_, options_.stream),
                 "ncclBroadcast");
  }

  Status doBarrier() override {
    if (!options_.barrierWord)
      return failedPrecondition("a barrier over NCCL needs four bytes of device memory "
                                "(NCCLRank::barrierWord)");
    return check(functions().allReduce(options_.barrierWord, options_.barrierWord, 1,
                                       NCCLType::Float32, NCCLOperation::Sum, communicator_,
                                       options_.stream),
                 "ncclAllReduce");
  }

  Status doSend(const void *data, int64_t bytes, int32_t to) override {
    return check(
        functions().send(data, asSize(bytes), NCCLType::Int8, to, communicator_, options_.stream),
        "ncclSend");
  }

  Status doReceive(void *data, int64_t bytes, int32_t from) override {
    return check(functions().receive(data, asSize(bytes), NCCLType::Int8, from, communicator_,
                                     options_.stream),
                 "ncclRecv");
  }

private:
  const NCCLLibrary::Functions &functions() const { return *library_->functions_; }

  Status checkScratch(int64_t bytes) const {
    if (bytes * size() <= options_.sum.scratchBytes)
      return Status::ok();
    return resourceExhausted("gathering " + std::to_string(bytes) + " bytes of " +
                             std::to_string(size()) + " ranks needs " +
                             std::to_string(bytes * size()) + " bytes of scratch, but there are " +
                             std::to_string(options_.sum.scratchBytes));
  }

  /// The outcome of a copy; the other ranks wait in vain for one that failed, so it ends the group.
  Status staged(Status copied) {
    return copied.isOk() ? copied : fail(copied.withContext("staging"));
  }

  /// The outcome of a call, or what went wrong on the device since the last one; both end the
  /// group.
  Status check(NCCLResult result, const char *call) {
    Status status = functions().statusOf(result, call);
    NCCLResult earlier = 0;
    if (status.isOk())
      status = functions().statusOf(functions().asyncError(communicator_, &earlier),
                                    "ncclCommGetAsyncError");
    if (status.isOk())
      status = functions().statusOf(earlier, "an earlier operation");
    return status.isOk() ? status : fail(std::move(status));
  }

  std::shared_ptr<NCCLLibrary> library_;
  NCCLRank options_;
  NCCLCommunicator communicator_;
};

StatusOr<std::unique_ptr<Collective>> NCCLLibrary::join(const NCCLRank &rank) {
  if (rank.size < 1 || rank.rank < 0 || rank.rank >= rank.size)
    return invalidArgument("expected a rank below the size of its group, but got rank " +
                           std::to_string(rank.rank) + " of " + std::to_string(rank.size));
  NCCLUniqueId id = {};
  std::copy(rank.group.begin(), rank.group.end(), std::begin(id.bytes));
  NCCLCommunicator communicator = nullptr;
  LLMIR_RETURN_IF_ERROR(functions_->statusOf(
      functions_->initRank(&communicator, rank.size, id, rank.rank), "ncclCommInitRank"));
  return std::unique_ptr<Collective>(
      std::make_unique<NCCLCollective>(shared_from_this(), rank, communicator));
}

} // namespace llmir
