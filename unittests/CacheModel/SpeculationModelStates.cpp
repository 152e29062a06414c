// SpeculationModel: the operations worth trying in a state, the key by which states that differ in
// names only are one, and the invariants.

#include "SpeculationModel.h"

#include <algorithm>
#include <numeric>

namespace llmir::model {

using Do = SpeculationOperation::Kind;

std::vector<int> SpeculationModel::branchesOf(int sequence) const {
  std::vector<int> ids;
  for (const auto &[id, branch] : branches)
    if (branch.sequence == sequence)
      ids.push_back(id);
  return ids;
}

void SpeculationModel::addBranchOperations(int id, std::vector<Operation> &all) const {
  const Branch &branch = branches.at(id);
  int sequence = branch.sequence, count = int(branch.parents.size());
  // One more, two in a row, two beside each other, one beside all others, one after none that is
  // there.
  for (const std::vector<int> &parents :
       {std::vector<int>{count - 1}, {count - 1, count}, {count - 1, count - 1}, {-1}, {count}})
    all.push_back({Do::Draft, sequence, id, 0, parents});
  all.push_back({Do::Commit, sequence, id, 0, {}});
  all.push_back({Do::Commit, sequence, id, 0, {count}});
  for (int token = 0; token < count; ++token)
    all.push_back({Do::Commit, sequence, id, 0, pathTo(branch, token)});
  for (int accepted = 0; accepted <= count + 1; ++accepted)
    all.push_back({Do::Accept, sequence, id, accepted, {}});
  all.push_back({Do::Rollback, sequence, id, 0, {}});
  // Another sequence has no such branch.
  all.push_back({Do::Rollback, sequence + 1, id, 0, {}});
}

std::vector<SpeculationOperation> SpeculationModel::operations() const {
  std::vector<Operation> all;
  for (int id = 0; id < cache.sizes.numSequences; ++id) {
    auto found = cache.sequences.find(id);
    all.push_back({Do::Create, id, 0, 0, {}});
    all.push_back({Do::Free, id, 0, 0, {}});
    if (!hasBranches(id)) {
      int length = found == cache.sequences.end() ? 0 : int(found->second.tokens.size());
      for (int tokens : {1, 2, 3})
        all.push_back({Do::Append, id, 0, tokens, {}});
      for (int shorter = 0; shorter <= length; ++shorter)
        all.push_back({Do::Truncate, id, 0, shorter, {}});
    }
    if (found == cache.sequences.end())
      break; // Names do not matter: one that is not there stands for all.
  }
  for (const auto &[id, branch] : branches)
    addBranchOperations(id, all);
  all.push_back({Do::Accept, 0, numCreated, 0, {}});
  return all;
}

std::string SpeculationModel::keyInOrder(const std::vector<int> &sequences,
                                         const std::vector<int> &order) const {
  std::map<int, char> names; // of blocks, in the order in which they are met
  auto name = [&](int block) {
    return names.emplace(block, char('a' + names.size())).first->second;
  };
  auto write = [&](const CacheModel::Sequence &sequence) {
    std::string text = std::to_string(sequence.tokens.size());
    for (Ticket block : sequence.table)
      text += name(block.block);
    return text;
  };
  std::string key;
  for (int id : sequences) {
    auto found = cache.sequences.find(id);
    key += found == cache.sequences.end() ? "-" : "/" + write(found->second);
    for (int branchId : order) {
      const Branch &branch = branches.at(branchId);
      if (branch.sequence != id)
        continue;
      key += "+" + std::to_string(branch.contextLength) + "(";
      for (int parent : branch.parents)
        key += std::to_string(parent) + ",";
      key += ")" + write(cache.sequences.at(forkId(branchId)));
    }
  }
  key += "|";
  for (int block : cache.pool.free)
    key += name(block);
  return key;
}

std::string SpeculationModel::key() const {
  std::vector<int> sequences(size_t(cache.sizes.numSequences)), order;
  std::iota(sequences.begin(), sequences.end(), 0);
  for (const auto &[id, branch] : branches)
    order.push_back(id);
  std::string smallest;
  do {
    do {
      std::string key = keyInOrder(sequences, order);
      if (smallest.empty() || key < smallest)
        smallest = key;
    } while (std::next_permutation(order.begin(), order.end()));
  } while (std::next_permutation(sequences.begin(), sequences.end()));
  return smallest;
}

std::string SpeculationModel::check() const {
  for (const auto &[id, branch] : branches) {
    auto sequence = cache.sequences.find(branch.sequence), fork = cache.sequences.find(forkId(id));
    if (sequence == cache.sequences.end() || fork == cache.sequences.end())
      return "b" + std::to_string(id) + " has lost its sequence or its tokens";
    const std::vector<Tag> &context = sequence->second.tokens, &all = fork->second.tokens;
    if (int(context.size()) != branch.contextLength ||
        all.size() != context.size() + branch.parents.size() ||
        !std::equal(context.begin(), context.end(), all.begin()))
      return "b" + std::to_string(id) + " does not continue its sequence";
  }
  return cache.check();
}

} // namespace llmir::model
