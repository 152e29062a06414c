// Every state of a pool of up to four blocks with up to three owners each, and every operation in
// each of them on BlockPool, with ids that are valid, stale, free and of no block at all.

#include "Exploration.h"
#include "PoolModel.h"

#include "llmir/Cache/BlockPool.h"

#include <gtest/gtest.h>

#include <ostream>

using namespace llmir;
using namespace llmir::model;

namespace {

struct PoolOperation {
  enum class Kind { Allocate, Retain, Release, Revive };
  Kind kind{};
  Ticket ticket;
};
using Kind = PoolOperation::Kind;

std::string describe(const PoolOperation &operation) {
  static const char *const names[] = {"allocate", "retain", "release", "revive"};
  return std::string(names[int(operation.kind)]) + " " + std::to_string(operation.ticket.block) +
         " of generation " + std::to_string(operation.ticket.generation);
}

struct PoolState : PoolModel {
  using Operation = PoolOperation;
  using PoolModel::PoolModel;

  std::vector<Operation> operations() const {
    std::vector<Operation> all = {{Kind::Allocate, {}}};
    for (int block = -1; block <= int(blocks.size()); ++block) {
      bool exists = block >= 0 && block < int(blocks.size());
      int now = exists ? blocks[size_t(block)].generation : 1;
      for (int generation : {now, now - 1, now + 1, 0}) {
        Ticket ticket{block, generation};
        // Three sequences can be owners; more would make the states endless.
        if (generation >= 0 && !(isLive(ticket) && blocks[size_t(block)].owners == 3))
          all.push_back({Kind::Retain, ticket});
        if (generation >= 0) {
          all.push_back({Kind::Release, ticket});
          all.push_back({Kind::Revive, ticket});
        }
      }
    }
    return all;
  }

  bool apply(const Operation &operation) {
    switch (operation.kind) {
    case Kind::Allocate:
      return allocate().has_value();
    case Kind::Retain:
      return retain(operation.ticket);
    case Kind::Release:
      return release(operation.ticket);
    case Kind::Revive:
      return revive(operation.ticket);
    }
    return false;
  }

  /// Generations count as one once a block was handed out; which block it is counts.
  std::string key() const {
    std::string key;
    for (const Block &block : blocks)
      key += std::to_string(block.owners) + (block.generation > 0 ? "+" : "-");
    for (int block : free)
      key += std::to_string(block);
    return key;
  }
};

bool apply(BlockPool &pool, const PoolOperation &operation) {
  BlockId id{operation.ticket.block, uint32_t(operation.ticket.generation)};
  switch (operation.kind) {
  case Kind::Allocate:
    return pool.allocate().isOk();
  case Kind::Retain:
    return pool.retain(id).isOk();
  case Kind::Release:
    return pool.release(id).isOk();
  case Kind::Revive:
    return pool.revive(id).isOk();
  }
  return false;
}

/// Everything that can be seen of a pool, and, from a copy, the order of its free blocks.
void expectSame(BlockPool pool, const PoolState &model) {
  ASSERT_TRUE(pool.checkInvariants().isOk()) << pool.checkInvariants().message();
  ASSERT_EQ(pool.numFree(), int(model.free.size()));
  for (int block = 0; block < int(model.blocks.size()); ++block) {
    const PoolModel::Block &expected = model.blocks[size_t(block)];
    ASSERT_EQ(pool.useCount(block), expected.owners);
    ASSERT_EQ(pool.isIndexInUse(block), expected.owners > 0);
    for (int generation = 0; generation <= expected.generation + 1; ++generation) {
      BlockId id{block, uint32_t(generation)};
      ASSERT_EQ(pool.isLive(id), model.isLive({block, generation}));
      ASSERT_EQ(pool.useCount(id).isOk(), model.isCurrent({block, generation}));
    }
  }
  for (int block : model.free)
    ASSERT_EQ(pool.allocate()->index, block);
  ASSERT_FALSE(pool.allocate().isOk());
}

class BlockPoolExploration : public testing::TestWithParam<int> {};

} // namespace

TEST_P(BlockPoolExploration, FollowsTheModelFromEveryState) {
  Exploration<PoolState> exploration{PoolState(GetParam())};
  ASSERT_EQ(exploration.violation(), "");
  for (size_t i = 0; i < exploration.states().size(); ++i) {
    BlockPool pool(GetParam());
    for (const PoolOperation &operation : exploration.pathTo(i))
      ASSERT_TRUE(apply(pool, operation));
    for (const PoolOperation &operation : exploration.states()[i].model.operations()) {
      SCOPED_TRACE("state " + std::to_string(i) + ", " + describe(operation));
      BlockPool changed = pool;
      PoolState model = exploration.states()[i].model;
      bool expected = model.apply(operation);
      ASSERT_EQ(apply(changed, operation), expected);
      ASSERT_NO_FATAL_FAILURE(expectSame(changed, model));
    }
  }
  RecordProperty("states", int(exploration.states().size()));
  // Fewer would mean that the model stopped early: four blocks have hundreds of orders and owners.
  EXPECT_GE(exploration.states().size(), GetParam() == 4 ? 400u : 4u);
}

INSTANTIATE_TEST_SUITE_P(Blocks, BlockPoolExploration, testing::Values(1, 2, 3, 4));
