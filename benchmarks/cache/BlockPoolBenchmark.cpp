// What taking a block from the pool and giving it back costs, alone and through a sequence's table.

#include "Measure.h"

#include "llmir/Cache/BlockPool.h"
#include "llmir/Cache/PagedKVCache.h"

#include <cstdlib>
#include <vector>

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

/// All blocks are taken, then given back.
double nanosecondsPerBlockOfAll(BlockPool &pool) {
  std::vector<BlockId> blocks(static_cast<size_t>(pool.numBlocks()));
  return 1e9 / pool.numBlocks() * measure([&] {
           for (BlockId &block : blocks)
             block = *pool.allocate();
           for (size_t i = 0; i < blocks.size(); ++i) {
             pool.fetchAhead(blocks[std::min(i + BlockPool::lookahead, blocks.size() - 1)]);
             if (!pool.release(blocks[i]).isOk())
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
  // comes from memory, unless it was fetched ahead.
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
  printFigure("the same, all allocated, then all freed", nanosecondsPerBlockOfAll(huge), "ns");
  printFigure("a block in a sequence of 4096 blocks, slots and table",
              nanosecondsPerBlockOfSequences(4096), "ns a block");
}
