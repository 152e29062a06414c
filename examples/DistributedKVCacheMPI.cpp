// The same cache with every device in a process of its own: run it with
//   mpirun --oversubscribe -n 2 DistributedKVCacheMPI
// Each rank holds half of the heads; all find the whole.

#include "llmir/Distributed/DistributedPagedKVCache.h"
#include "llmir/Distributed/MPICollective.h"

#include <cstdio>
#include <vector>

using namespace llmir;

static Status run(Collective &ranks) {
  ShardingConfig config;
  config.strategy = ShardingStrategy::HEAD_WISE;
  config.numDevices = ranks.size();
  DistributedPagedKVCache cache(2, 8, 16, 16, 256, ElementType::F32, config, &ranks);
  std::vector<float> keys(2 * 20 * 8 * 16), found(keys.size()), foundValues(keys.size());
  for (size_t i = 0; i < keys.size(); ++i)
    keys[i] = static_cast<float>(i);
  int32_t id = 1, length = 20;
  std::vector<int32_t> blocks(20);
  LLMIR_RETURN_IF_ERROR(cache.appendKV(keys.data(), keys.data(), 1, 20, &id, blocks.data()));
  LLMIR_RETURN_IF_ERROR(
      cache.lookupKV(blocks.data(), &length, 1, found.data(), foundValues.data()));
  const CacheShard &mine = cache.shard(ranks.rank());
  std::printf("rank %d of %d holds heads %d to %d and found %s\n", ranks.rank(), ranks.size(),
              int(mine.firstHead), int(mine.firstHead + mine.numHeads - 1),
              found == keys && foundValues == keys ? "all of them" : "something else");
  return found == keys ? Status::ok() : internalError("keys differ");
}

int main() {
  auto session = MPISession::start();
  if (!session) {
    std::printf("%s\n", session.status().message().c_str());
    return session.status().code() == StatusCode::Unimplemented ? 0 : 1;
  }
  auto ranks = (*session)->world();
  Status status = ranks ? run(**ranks) : ranks.status();
  if (!status.isOk())
    std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.isOk() ? 0 : 1;
}
