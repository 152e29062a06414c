// PrefixModel: the operations worth trying in a state, the key by which states that differ in names
// only are one, and the invariants.

#include "PrefixModel.h"

#include <algorithm>
#include <numeric>

namespace llmir::model {

using Kind = PrefixOperation::Kind;

int PrefixModel::numPages() const {
  return int(std::count_if(nodes.begin(), nodes.end(),
                           [](const auto &entry) { return entry.second.isOnDisk; }));
}

int PrefixModel::numMemoryBlocks() const {
  return int(std::count_if(nodes.begin(), nodes.end(),
                           [](const auto &entry) { return entry.second.block.has_value(); }));
}

std::vector<PrefixOperation> PrefixModel::operations() const {
  std::vector<Operation> all;
  for (int id = 0; id < sizes.numSequences; ++id) {
    if (!sequences.count(id)) {
      for (const Path &prompt : sizes.prompts)
        all.push_back({Kind::Start, id, 0, 0, prompt});
      break; // Names do not matter: one that is not there stands for all.
    }
    all.push_back({Kind::Append, id, 0, 0, {}});
    all.push_back({Kind::Append, id, 0, 1, {}});
    for (Kind kind : {Kind::Keep, Kind::Finish, Kind::Drop})
      all.push_back({kind, id, 0, 0, {}});
    for (int other = 0; other < sizes.numSequences; ++other)
      all.push_back({Kind::Fork, id, other, 0, {}});
  }
  all.push_back({Kind::Evict, 0, 0, 1, {}});
  all.push_back({Kind::Evict, 0, 0, sizes.numBlocks, {}});
  all.push_back({Kind::Clear, 0, 0, 0, {}});
  if (int(pins.size()) < sizes.maxPins)
    all.push_back({Kind::Pin, 0, 0, 0, sizes.prompts.back()});
  all.push_back({Kind::Unpin, 0, 0, 0, sizes.prompts.back()});
  return all;
}

bool PrefixModel::isValid(const Operation &operation) const {
  return operation.kind != Kind::Pin || int(pins.size()) < sizes.maxPins;
}

PrefixOperation PrefixModel::choose(const std::function<int(int)> &choose) const {
  int id = choose(sizes.numSequences), action = choose(24);
  // Few different tokens and namespaces, so that prefixes are often shared, in whole and in part.
  Path prompt{choose(8) == 0 ? 1 : 0, {}};
  int size = choose(sizes.maxSeqLen);
  for (int i = 0; i < size; ++i)
    prompt.tokens.push_back(choose(6) == 0 ? 1 : 0);
  if (action < 8)
    return {Kind::Start, id, 0, 0, prompt};
  if (action < 12)
    return {Kind::Append, id, 0, choose(3) == 0 ? 1 : 0, {}};
  if (action < 13)
    return {Kind::Keep, id, 0, 0, {}};
  if (action < 17)
    return {Kind::Finish, id, 0, 0, {}};
  if (action < 18)
    return {Kind::Drop, id, 0, 0, {}};
  if (action < 20)
    return {Kind::Fork, id, choose(sizes.numSequences), 0, {}};
  if (action < 21)
    return {Kind::Evict, 0, 0, 1 + choose(3), {}};
  if (action < 22)
    return {Kind::Pin, 0, 0, 0, prompt};
  if (!pins.empty() && choose(3) > 0)
    prompt = std::next(pins.begin(), choose(int(pins.size())))->first;
  return {Kind::Unpin, 0, 0, 0, prompt};
}

std::string PrefixModel::keyInOrder(const std::vector<int> &order) const {
  std::map<int, char> names; // of blocks, in the order in which they are met
  auto name = [&](Ticket ticket) {
    return names.emplace(ticket.block, char('a' + names.size())).first->second;
  };
  auto write = [](const Path &path) {
    std::string text(1, char('A' + path.space));
    for (int token : path.tokens)
      text += char('0' + token);
    return text;
  };
  std::string key;
  for (int id : order) {
    auto found = sequences.find(id);
    key += found == sequences.end() ? "-" : write(found->second.path);
    if (found != sequences.end())
      for (Ticket block : found->second.table)
        key += name(block);
  }
  // Of the times of use only their order counts.
  std::set<int> uses;
  for (const auto &[path, node] : nodes)
    uses.insert(node.lastUse);
  for (const auto &[path, node] : nodes) {
    key += "," + write(path) + (node.isOnDisk ? "d" : "") + (node.block ? "m" : "");
    if (node.block)
      key += name(*node.block);
    key += char('0' + std::distance(uses.begin(), uses.find(node.lastUse)));
  }
  key += "|";
  for (const auto &[path, count] : pins)
    key += write(path) + std::to_string(count) + ",";
  for (int block : pool.free)
    key += name({block, 0});
  return key;
}

std::string PrefixModel::key() const {
  std::vector<int> order(size_t(sizes.numSequences));
  std::iota(order.begin(), order.end(), 0);
  std::string smallest = keyInOrder(order);
  while (std::next_permutation(order.begin(), order.end()))
    smallest = std::min(smallest, keyInOrder(order));
  return smallest;
}

std::string PrefixModel::check() const {
  if (std::string problem = pool.check(); !problem.empty())
    return problem;
  std::vector<int> owners(size_t(sizes.numBlocks));
  auto reads = [&](const Path &path, const std::vector<Ticket> &table, size_t first) {
    std::vector<Tag> tags = tagsOf(path);
    for (size_t i = 0; i < table.size(); ++i) {
      if (!pool.isLive(table[i]))
        return false;
      ++owners[size_t(table[i].block)];
      size_t end = std::min(tags.size(), first + (i + 1) * size_t(sizes.blockSize));
      for (size_t token = first + i * size_t(sizes.blockSize); token < end; ++token)
        if (memory[size_t(table[i].block)][token % size_t(sizes.blockSize)] != tags[token])
          return false;
    }
    return true;
  };
  for (const auto &[id, sequence] : sequences)
    if (!reads(sequence.path, sequence.table, 0))
      return "s" + std::to_string(id) + " reads what is not its own";
  for (const auto &[path, node] : nodes) {
    if (!node.block && !node.isOnDisk)
      return "a known block is nowhere";
    if (node.block && !reads(path, {*node.block}, path.tokens.size() - size_t(sizes.blockSize)))
      return "a known block does not hold what it should";
    Path parent = parentOf(path);
    if (!parent.tokens.empty() && (!nodes.count(parent) || (node.block && !nodes.at(parent).block)))
      return "a known block is an orphan";
  }
  for (size_t block = 0; block < owners.size(); ++block)
    if (owners[block] != pool.blocks[block].owners)
      return "block " + std::to_string(block) + " miscounts its owners";
  if (numPages() > sizes.numPages)
    return "the disk holds more pages than it has";
  return "";
}

} // namespace llmir::model
