// The checks that every transport needs, and the agreement on a status.

#include "llmir/Distributed/Collective.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace llmir {

std::string_view reduceTypeName(ReduceType type) {
  switch (type) {
  case ReduceType::F32:
    return "f32";
  case ReduceType::F16:
    return "f16";
  case ReduceType::BF16:
    return "bf16";
  }
  return "unknown";
}

Collective::~Collective() = default;

Status Collective::fail(Status reason) {
  if (status_.isOk())
    status_ = std::move(reason);
  return status_;
}

Status Collective::checkArray(const void *data, int64_t count) const {
  LLMIR_RETURN_IF_ERROR(status_);
  if (count < 0)
    return invalidArgument("expected a size of 0 or more, but got " + std::to_string(count));
  if (!data && count > 0)
    return invalidArgument("expected an array of size " + std::to_string(count) +
                           ", but got a null pointer");
  return Status::ok();
}

Status Collective::checkPeer(int32_t peer) const {
  if (peer >= 0 && peer < size_)
    return Status::ok();
  return invalidArgument("expected a rank of 0 to " + std::to_string(size_ - 1) + ", but got " +
                         std::to_string(peer));
}

Status Collective::allReduceSum(void *data, int64_t count, ReduceType type) {
  LLMIR_RETURN_IF_ERROR(checkArray(data, count));
  return doAllReduceSum(data, count, type).withContext("all-reduce");
}

Status Collective::reduceScatterSum(const void *input, void *output, int64_t count,
                                    ReduceType type) {
  LLMIR_RETURN_IF_ERROR(checkArray(input, count));
  LLMIR_RETURN_IF_ERROR(checkArray(output, count));
  return doReduceScatterSum(input, output, count, type).withContext("reduce-scatter");
}

Status Collective::allGather(const void *input, void *output, int64_t bytes) {
  LLMIR_RETURN_IF_ERROR(checkArray(input, bytes));
  LLMIR_RETURN_IF_ERROR(checkArray(output, bytes));
  return doAllGather(input, output, bytes).withContext("all-gather");
}

Status Collective::allGatherHost(const void *input, void *output, int64_t bytes) {
  LLMIR_RETURN_IF_ERROR(checkArray(input, bytes));
  LLMIR_RETURN_IF_ERROR(checkArray(output, bytes));
  return doAllGatherHost(input, output, bytes).withContext("all-gather");
}

Status Collective::broadcast(void *data, int64_t bytes, int32_t root) {
  LLMIR_RETURN_IF_ERROR(checkArray(data, bytes));
  LLMIR_RETURN_IF_ERROR(checkPeer(root));
  return doBroadcast(data, bytes, root).withContext("broadcast");
}

Status Collective::barrier() {
  LLMIR_RETURN_IF_ERROR(status_);
  return doBarrier().withContext("barrier");
}

Status Collective::send(const void *data, int64_t bytes, int32_t to) {
  LLMIR_RETURN_IF_ERROR(checkArray(data, bytes));
  LLMIR_RETURN_IF_ERROR(checkPeer(to));
  if (to == rank_)
    return invalidArgument("expected another rank than the sender's own, " + std::to_string(to));
  Status sent = doSend(data, bytes, to);
  return sent.isOk() ? sent : sent.withContext("send to rank " + std::to_string(to));
}

Status Collective::receive(void *data, int64_t bytes, int32_t from) {
  LLMIR_RETURN_IF_ERROR(checkArray(data, bytes));
  LLMIR_RETURN_IF_ERROR(checkPeer(from));
  if (from == rank_)
    return invalidArgument("expected another rank than the receiver's own, " +
                           std::to_string(from));
  Status received = doReceive(data, bytes, from);
  return received.isOk() ? received
                         : received.withContext("receive from rank " + std::to_string(from));
}

Status Collective::agree(const Status &mine) {
  LLMIR_RETURN_IF_ERROR(status_);
  if (size_ == 1)
    return mine;
  Vote vote;
  vote.code = static_cast<int32_t>(mine.code());
  size_t length = std::min(mine.message().size(), sizeof(vote.message) - 1);
  std::memcpy(vote.message, mine.message().data(), length);
  votes_.resize(static_cast<size_t>(size_));
  LLMIR_RETURN_IF_ERROR(allGatherHost(&vote, votes_.data(), sizeof(Vote)));
  for (size_t rank = 0; rank < votes_.size(); ++rank)
    if (votes_[rank].code != 0)
      return Status(static_cast<StatusCode>(votes_[rank].code),
                    "rank " + std::to_string(rank) + ": " + votes_[rank].message);
  return Status::ok();
}

} // namespace llmir
