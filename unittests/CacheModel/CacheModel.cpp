// CacheModel: the meaning of each operation, the operations worth trying in a state, and the key by
// which states that differ in names only are one.

#include "CacheModel.h"

#include <numeric>
#include <set>

namespace llmir::model {

using Kind = CacheOperation::Kind;

std::string describe(const CacheOperation &operation) {
  static const char *const names[] = {"append", "truncate", "free",  "fork",
                                      "hold",   "unhold",   "attach"};
  std::string text = names[static_cast<int>(operation.kind)];
  for (int sequence : operation.sequences)
    text += " s" + std::to_string(sequence);
  return text + " " + std::to_string(operation.tokens);
}

bool CacheModel::lastBlockIsShared(const Sequence &sequence) const {
  bool isPartial = sequence.tokens.size() % sizes.blockSize != 0;
  return isPartial && pool.blocks[sequence.table.back().block].owners > 1;
}

int CacheModel::blocksNeeded(int id, int tokens) const {
  auto found = sequences.find(id);
  if (tokens == 0 || found == sequences.end())
    return blocksFor(tokens);
  const Sequence &sequence = found->second;
  return blocksFor(int(sequence.tokens.size()) + tokens) - int(sequence.table.size()) +
         (lastBlockIsShared(sequence) ? 1 : 0);
}

void CacheModel::write(Sequence &sequence, Tag tag) {
  int offset = int(sequence.tokens.size()) % sizes.blockSize;
  if (offset == 0) {
    sequence.table.push_back(*pool.allocate());
  } else if (lastBlockIsShared(sequence)) {
    Ticket shared = sequence.table.back(), copy = *pool.allocate();
    memory[copy.block] = memory[shared.block];
    pool.release(shared);
    sequence.table.back() = copy;
  }
  memory[sequence.table.back().block][offset] = tag;
  sequence.tokens.push_back(tag);
}

void CacheModel::shrink(Sequence &sequence, int length) {
  sequence.tokens.resize(length);
  for (; int(sequence.table.size()) > blocksFor(length); sequence.table.pop_back())
    pool.release(sequence.table.back());
}

Outcome CacheModel::append(const Operation &operation) {
  int needed = 0;
  for (int id : operation.sequences) {
    auto found = sequences.find(id);
    int length = found == sequences.end() ? 0 : int(found->second.tokens.size());
    if (length + operation.tokens > sizes.maxSeqLen)
      return Outcome::Exhausted;
    needed += blocksNeeded(id, operation.tokens);
  }
  if (std::set<int>(operation.sequences.begin(), operation.sequences.end()).size() !=
      operation.sequences.size())
    return Outcome::Invalid;
  if (needed > int(pool.free.size()))
    return Outcome::Exhausted;
  written_.clear();
  for (int id : operation.sequences)
    for (int token = 0; token < operation.tokens; ++token) {
      write(sequences[id], nextTag_);
      written_.push_back(nextTag_++);
    }
  for (int id : operation.sequences)
    sequences[id]; // Also one that got no tokens exists now.
  return Outcome::Done;
}

Outcome CacheModel::attach(const Operation &operation) {
  int id = operation.sequences[0], length = operation.tokens;
  if (sequences.count(id))
    return Outcome::Precondition;
  const Sequence &source = sequences.at(operation.sequences[1]);
  Sequence sequence{{source.table.begin(), source.table.begin() + blocksFor(length)},
                    {source.tokens.begin(), source.tokens.begin() + length}};
  for (Ticket block : sequence.table)
    pool.retain(block);
  sequences[id] = sequence;
  return Outcome::Done;
}

Outcome CacheModel::perform(const Operation &operation) {
  if (operation.kind == Kind::Append)
    return append(operation);
  if (operation.kind == Kind::Attach)
    return attach(operation);
  if (operation.kind == Kind::Unhold) {
    pool.release(held.front());
    held.erase(held.begin());
    return Outcome::Done;
  }
  int id = operation.sequences[0];
  if (!sequences.count(id))
    return Outcome::NotFound;
  Sequence &sequence = sequences[id];
  switch (operation.kind) {
  case Kind::Truncate:
    if (operation.tokens > int(sequence.tokens.size()))
      return Outcome::Invalid;
    shrink(sequence, operation.tokens);
    return Outcome::Done;
  case Kind::Free:
    shrink(sequence, 0);
    sequences.erase(id);
    return Outcome::Done;
  case Kind::Fork:
    if (sequences.count(operation.sequences[1]))
      return Outcome::Precondition;
    for (Ticket block : sequence.table)
      pool.retain(block);
    sequences[operation.sequences[1]] = Sequence(sequence);
    return Outcome::Done;
  default: // Hold
    pool.retain(sequence.table[operation.tokens]);
    held.push_back(sequence.table[operation.tokens]);
    return Outcome::Done;
  }
}

void CacheModel::clear() {
  for (auto &[id, sequence] : sequences)
    shrink(sequence, 0);
  sequences.clear();
  for (Ticket block : held)
    pool.release(block);
  held.clear();
}

std::vector<CacheOperation> CacheModel::operations() const {
  std::vector<Operation> all;
  for (int id = 0; id < sizes.numSequences; ++id) {
    for (int tokens : {0, 1, 2, 3})
      all.push_back({Kind::Append, {id}, tokens});
    auto found = sequences.find(id);
    int length = found == sequences.end() ? 0 : int(found->second.tokens.size());
    for (int shorter = 0; shorter <= length + 1; ++shorter)
      all.push_back({Kind::Truncate, {id}, shorter});
    all.push_back({Kind::Free, {id}});
    for (int other = 0; other < sizes.numSequences; ++other) {
      all.push_back({Kind::Fork, {id, other}});
      // With itself: a sequence named twice, which is refused.
      all.push_back({Kind::Append, {id, other}, 1});
      if (auto source = sequences.find(other); source != sequences.end())
        for (int tokens = 0; tokens < int(source->second.tokens.size()); ++tokens)
          all.push_back({Kind::Attach, {id, other}, tokens});
    }
    if (int(held.size()) < sizes.maxHeld && found != sequences.end())
      for (int block = 0; block < int(found->second.table.size()); ++block)
        all.push_back({Kind::Hold, {id}, block});
  }
  std::vector<int> everybody(sizes.numSequences);
  std::iota(everybody.begin(), everybody.end(), 0);
  all.push_back({Kind::Append, everybody, 1});
  if (!held.empty())
    all.push_back({Kind::Unhold, {}});
  return all;
}

bool CacheModel::isValid(const Operation &operation) const {
  auto find = [this](int id) { return sequences.find(id); };
  switch (operation.kind) {
  case Kind::Unhold:
    return !held.empty();
  case Kind::Hold: {
    auto found = find(operation.sequences[0]);
    return found != sequences.end() && operation.tokens < int(found->second.table.size());
  }
  case Kind::Attach: {
    auto found = find(operation.sequences[1]);
    return found != sequences.end() && operation.tokens <= int(found->second.tokens.size());
  }
  default:
    return true;
  }
}

CacheOperation CacheModel::choose(const std::function<int(int)> &choose) const {
  auto sequence = [&] { return choose(sizes.numSequences); };
  // Often one that is there, so that most operations do something.
  auto existing = [&] {
    if (sequences.empty() || choose(8) == 0)
      return sequence();
    return std::next(sequences.begin(), choose(int(sequences.size())))->first;
  };
  auto lengthOf = [&](int id) {
    auto found = sequences.find(id);
    return found == sequences.end() ? 0 : int(found->second.tokens.size());
  };
  int action = choose(20), id = existing();
  if (action < 8) {
    std::vector<int> ids = {sequence()};
    for (int more = choose(3); more > 0; --more)
      ids.push_back(sequence());
    return {Kind::Append, ids, choose(2 * sizes.blockSize + 2)};
  }
  if (action < 11)
    return {Kind::Truncate, {id}, choose(lengthOf(id) + 2)};
  if (action < 13)
    return {Kind::Free, {id}};
  if (action < 15)
    return {Kind::Fork, {id, sequence()}};
  if (action < 17 && lengthOf(id) > 0)
    return {Kind::Attach, {sequence(), id}, choose(lengthOf(id) + 1)};
  if (action < 19 && int(held.size()) < sizes.maxHeld && lengthOf(id) > 0)
    return {Kind::Hold, {id}, choose(int(sequences.at(id).table.size()))};
  if (!held.empty())
    return {Kind::Unhold, {}};
  return {Kind::Append, {sequence()}, 1};
}

std::string CacheModel::keyInOrder(const std::vector<int> &order) const {
  std::map<int, char> names; // of blocks, in the order in which they are met
  auto name = [&](int block) {
    return names.emplace(block, char('a' + names.size())).first->second;
  };
  std::string key;
  for (int id : order) {
    auto found = sequences.find(id);
    if (found == sequences.end()) {
      key += '-';
      continue;
    }
    key += char('0' + found->second.tokens.size());
    for (Ticket block : found->second.table)
      key += name(block.block);
  }
  key += '|';
  for (Ticket block : held)
    key += name(block.block);
  key += '|';
  for (int block : pool.free)
    key += name(block);
  return key;
}

std::string CacheModel::key() const {
  std::vector<int> order(sizes.numSequences);
  std::iota(order.begin(), order.end(), 0);
  std::string smallest = keyInOrder(order);
  while (std::next_permutation(order.begin(), order.end()))
    smallest = std::min(smallest, keyInOrder(order));
  return smallest;
}

std::string CacheModel::check() const {
  if (std::string problem = pool.check(); !problem.empty())
    return problem;
  std::vector<int> owners(sizes.numBlocks);
  for (Ticket block : held)
    ++owners[block.block];
  for (const auto &[id, sequence] : sequences) {
    std::string name = "s" + std::to_string(id);
    if (int(sequence.table.size()) != blocksFor(int(sequence.tokens.size())))
      return name + " has the wrong number of blocks";
    for (Ticket block : sequence.table) {
      if (!pool.isLive(block))
        return name + " names a block that is not its own any more";
      ++owners[block.block];
    }
    for (size_t i = 0; i < sequence.tokens.size(); ++i)
      if (memory[sequence.table[i / sizes.blockSize].block][i % sizes.blockSize] !=
          sequence.tokens[i])
        return name + " reads another's data at " + std::to_string(i);
  }
  for (int block = 0; block < sizes.numBlocks; ++block)
    if (owners[block] != pool.blocks[block].owners)
      return "block " + std::to_string(block) + " miscounts its owners";
  return "";
}

} // namespace llmir::model
