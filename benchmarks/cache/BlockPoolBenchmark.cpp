// What taking a block from the pool and giving it back costs, alone and through a sequence's table.

#include "Measure.h"

#include "llmir/Cache/BlockPool.h"
#include "llmir/Cache/PagedKVCache.h"

#include <cstdlib>

using namespace llmir;
using namespace llmir::benchmark;

namespace {

constexpr int64_t operations = 1000000;

double nanosecondsPerBlock(BlockPool &pool) {
  return 1e9 / operations * measure([&] {
           for (int64_t i = 0; i < operations; ++i) {
             StatusOr<BlockId> block = pool.allocate();
             if (!block || !pool.release(*block).isOk())
               std::abort();
           }
         });
}

double nanosecondsPerBlockOfSequences(int64_t tokens) {
  PagedKVCache cache(1, 1, 8, 1, tokens, ElementType::F16, tokens);
  CacheStepTables tables;
  std::vector<AppendRequest> request = {{SequenceId{1}, tokens}};
  return 1e9 / double(tokens) * measure([&] {
           if (!cache.reserve(request, tables).isOk() || !cache.freeSequence(SequenceId{1}).isOk())
             std::abort();
         });
}

} // namespace

int main() {
  // 2^16 blocks of 16 tokens are a million tokens. Of 2^20 in a random order each block's line
  // comes from memory: what is timed then is the memory.
  BlockPool few(64), many(1 << 16), huge(1 << 20), inOrder(1 << 20);
  many.shuffleFree(1);
  huge.shuffleFree(1);
  printAtMost("allocate + free a block, pool of 64", nanosecondsPerBlock(few), "ns", 50);
  printAtMost("allocate + free a block, pool of 2^16, shuffled", nanosecondsPerBlock(many), "ns",
              50);
  printAtMost("allocate + free a block, pool of 2^20, in order", nanosecondsPerBlock(inOrder), "ns",
              50);
  printAtMost("allocate + free a block, pool of 2^20, shuffled", nanosecondsPerBlock(huge), "ns",
              50);
  printFigure("the same in a sequence of 4096 blocks, slots and table",
              nanosecondsPerBlockOfSequences(4096), "ns a block");
}
