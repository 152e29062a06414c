// BlockPool under long random runs on pools of every small size, with ids of every age.

#include "MachineCheck.h"
#include "PoolModel.h"

#include "llmir/Cache/BlockPool.h"

using namespace llmir;
using namespace llmir::model;

namespace {

struct PoolOperation {
  enum class Kind { Allocate, Retain, Release, Revive, CheckFree };
  Kind kind{};
  Ticket ticket; ///< For CheckFree, `block` is how many.
};
using Kind = PoolOperation::Kind;

std::string describe(const PoolOperation &operation) {
  static const char *const names[] = {"allocate", "retain", "release", "revive", "check free"};
  return std::string(names[int(operation.kind)]) + " " + std::to_string(operation.ticket.block) +
         " of generation " + std::to_string(operation.ticket.generation);
}

struct PoolMachine : PoolModel {
  using Operation = PoolOperation;
  using PoolModel::PoolModel;

  bool isValid(const Operation &) const { return true; }

  Operation choose(const Chooser &choose) const {
    int action = choose(10);
    int block = choose(int(blocks.size()));
    // Mostly the valid id; else an earlier or the next one.
    Ticket ticket = current(block);
    if (choose(5) == 0)
      ticket.generation = choose(ticket.generation + 2);
    if (action < 4)
      return {Kind::Allocate, {}};
    if (action < 5)
      return {Kind::Retain, ticket};
    if (action < 8)
      return {Kind::Release, ticket};
    if (action < 9)
      return {Kind::Revive, ticket};
    return {Kind::CheckFree, {choose(int(blocks.size()) + 2), 0}};
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
    case Kind::CheckFree:
      return operation.ticket.block <= int(free.size());
    }
    return false;
  }
};

/// A pool and its model.
class PoolSubject {
public:
  explicit PoolSubject(int numBlocks) : model_(numBlocks), pool_(numBlocks) {}

  std::string step(const PoolOperation &operation) {
    int next = model_.free.empty() ? -1 : model_.free.front();
    bool expected = model_.apply(operation);
    BlockId id{operation.ticket.block, uint32_t(operation.ticket.generation)};
    switch (operation.kind) {
    case Kind::Allocate: {
      StatusOr<BlockId> block = pool_.allocate();
      if (block && *block != BlockId{next, uint32_t(model_.blocks[size_t(next)].generation)})
        return "block " + std::to_string(block->index) + " instead of " + std::to_string(next);
      return expect(block.isOk(), expected);
    }
    case Kind::Retain:
      return expect(pool_.retain(id).isOk(), expected);
    case Kind::Release:
      return expect(pool_.release(id).isOk(), expected);
    case Kind::Revive:
      return expect(pool_.revive(id).isOk(), expected);
    case Kind::CheckFree:
      return expect(pool_.checkFree(operation.ticket.block).isOk(), expected);
    }
    return "";
  }

  std::string compare() const {
    if (Status status = pool_.checkInvariants(); !status.isOk())
      return status.message();
    if (pool_.numFree() != int(model_.free.size()))
      return "another number of free blocks";
    for (int block = 0; block < pool_.numBlocks(); ++block) {
      Ticket now = model_.current(block);
      StatusOr<int32_t> owners = pool_.useCount(BlockId{block, uint32_t(now.generation)});
      if (owners.isOk() != model_.isCurrent(now) ||
          (owners && *owners != model_.blocks[size_t(block)].owners))
        return "another count for block " + std::to_string(block);
      if (now.generation > 1 && pool_.useCount(BlockId{block, uint32_t(now.generation - 1)}).isOk())
        return "a stale id of block " + std::to_string(block) + " is accepted";
    }
    return model_.check();
  }

private:
  static std::string expect(bool actual, bool expected) {
    return actual == expected ? "" : expected ? "is refused" : "is not refused";
  }

  PoolMachine model_;
  BlockPool pool_;
};

class BlockPoolMachine : public testing::TestWithParam<int> {};

} // namespace

TEST_P(BlockPoolMachine, FollowsTheModel) {
  int numBlocks = GetParam();
  checkMachine<PoolMachine, PoolSubject>(
      PoolMachine(numBlocks), [=] { return std::make_unique<PoolSubject>(numBlocks); },
      machineOperations(50'000, 3 * 50'000));
}

INSTANTIATE_TEST_SUITE_P(Blocks, BlockPoolMachine, testing::Values(1, 3, 17));
