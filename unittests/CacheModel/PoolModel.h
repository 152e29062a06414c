// PoolModel: what a block pool means, as plainly as it can be written: a count for each block and
// the free ones in the order in which they will be handed out. It shares no code with BlockPool,
// which is compared with it after every operation.

#ifndef LLMIR_UNITTESTS_CACHEMODEL_POOLMODEL_H
#define LLMIR_UNITTESTS_CACHEMODEL_POOLMODEL_H

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace llmir::model {

/// One handing out of a block. Only the latest one of a block is worth anything.
struct Ticket {
  int block = 0;
  int generation = 0;

  friend bool operator==(const Ticket &, const Ticket &) = default;
};

/// The pool. Calls that return false or nothing are refused and change nothing.
struct PoolModel {
  struct Block {
    int owners = 0;
    int generation = 0;
  };
  std::vector<Block> blocks;
  std::vector<int> free;

  explicit PoolModel(int numBlocks) : blocks(numBlocks) {
    for (int block = 0; block < numBlocks; ++block)
      free.push_back(block);
  }

  /// The ticket that is valid for a block now; nobody has one before it is first handed out.
  Ticket current(int block) const { return {block, blocks[block].generation}; }
  bool isCurrent(Ticket ticket) const {
    return ticket.block >= 0 && ticket.block < int(blocks.size()) && ticket.generation > 0 &&
           ticket.generation == blocks[ticket.block].generation;
  }
  bool isLive(Ticket ticket) const { return isCurrent(ticket) && blocks[ticket.block].owners > 0; }

  std::optional<Ticket> allocate() {
    if (free.empty())
      return std::nullopt;
    int block = free.front();
    free.erase(free.begin());
    blocks[block].owners = 1;
    ++blocks[block].generation;
    return current(block);
  }

  bool retain(Ticket ticket) {
    if (!isLive(ticket))
      return false;
    ++blocks[ticket.block].owners;
    return true;
  }

  bool release(Ticket ticket) {
    if (!isLive(ticket))
      return false;
    if (--blocks[ticket.block].owners == 0)
      free.push_back(ticket.block);
    return true;
  }

  /// One owner for a free block that nobody else got since.
  bool revive(Ticket ticket) {
    if (!isCurrent(ticket) || blocks[ticket.block].owners > 0)
      return false;
    free.erase(std::find(free.begin(), free.end(), ticket.block));
    blocks[ticket.block].owners = 1;
    return true;
  }

  /// Empty, or what is wrong: every block is either owned or once in the free list.
  std::string check() const {
    for (int block = 0; block < int(blocks.size()); ++block)
      if (std::count(free.begin(), free.end(), block) != (blocks[block].owners == 0 ? 1 : 0))
        return "block " + std::to_string(block) + " with " + std::to_string(blocks[block].owners) +
               " owners is wrongly in or out of the free list";
    return "";
  }
};

} // namespace llmir::model

#endif // LLMIR_UNITTESTS_CACHEMODEL_POOLMODEL_H
