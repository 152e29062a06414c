// SpeculationModel: the meaning of each operation, in terms of forks. What is worth trying in a
// state, and which states count as one, is in SpeculationModelStates.cpp.

#include "SpeculationModel.h"

#include <algorithm>

namespace llmir::model {

using Do = SpeculationOperation::Kind;

std::string describe(const SpeculationOperation &operation) {
  static const char *const names[] = {"append", "free",   "create",   "draft",
                                      "commit", "accept", "rollback", "truncate"};
  std::string text = names[int(operation.kind)];
  text += " s" + std::to_string(operation.sequence) + " b" + std::to_string(operation.branch) +
          " " + std::to_string(operation.tokens) + " (";
  for (int item : operation.list)
    text += " " + std::to_string(item);
  return text + " )";
}

bool SpeculationModel::hasBranches(int sequence) const {
  return std::any_of(branches.begin(), branches.end(),
                     [&](const auto &entry) { return entry.second.sequence == sequence; });
}

std::vector<int> SpeculationModel::pathTo(const Branch &branch, int token) const {
  std::vector<int> path;
  for (; token >= 0; token = branch.parents[size_t(token)])
    path.insert(path.begin(), token);
  return path;
}

bool SpeculationModel::isValid(const Operation &operation) const {
  bool changes = operation.kind == Do::Append || operation.kind == Do::Truncate;
  return !changes || !hasBranches(operation.sequence);
}

SpeculationOperation SpeculationModel::choose(const std::function<int(int)> &choose) const {
  Operation operation;
  operation.sequence = choose(cache.sizes.numSequences);
  operation.branch = choose(numCreated + 1);
  int numDrafts = 0;
  // Mostly a branch that is there.
  if (!branches.empty() && choose(8) > 0) {
    auto found = std::next(branches.begin(), choose(int(branches.size())));
    operation.branch = found->first;
    operation.sequence = found->second.sequence;
    numDrafts = int(found->second.parents.size());
  }
  int action = choose(20);
  if (action < 5) {
    int sequence = choose(cache.sizes.numSequences);
    if (hasBranches(sequence))
      return {Do::Create, sequence, 0, 0, {}};
    return {Do::Append, sequence, 0, choose(2 * cache.sizes.blockSize), {}};
  }
  if (action < 8)
    return {Do::Create, choose(cache.sizes.numSequences), 0, 0, {}};
  if (action < 13) {
    operation.kind = Do::Draft;
    for (int more = choose(4); more > 0; --more) {
      // A chain, or from anywhere; now and then from a token that is not there.
      operation.list.push_back(choose(3) > 0 ? numDrafts - 1 : choose(numDrafts + 2) - 1);
      ++numDrafts;
    }
    return operation;
  }
  if (action < 15) {
    operation.kind = Do::Commit;
    if (auto found = branches.find(operation.branch); found != branches.end() && numDrafts > 0)
      operation.list = pathTo(found->second, choose(numDrafts));
    if (choose(8) == 0)
      operation.list.push_back(choose(numDrafts + 2));
    return operation;
  }
  operation.tokens = choose(numDrafts + 2);
  operation.kind = action < 17 ? Do::Accept : action < 18 ? Do::Rollback : Do::Free;
  if (action == 19 && !hasBranches(operation.sequence))
    operation.kind = Do::Truncate;
  return operation;
}

bool SpeculationModel::create(int sequence) {
  if (int(branches.size()) >= maxBranches)
    return false;
  if (!cache.apply({Kind::Fork, {sequence, forkId(numCreated)}, 0}))
    return false;
  branches[numCreated++] = {sequence, int(cache.sequences[sequence].tokens.size()), {}};
  return true;
}

bool SpeculationModel::draft(int id, const std::vector<int> &parents) {
  std::vector<int> all = branches[id].parents;
  for (int parent : parents) {
    if (parent < -1 || parent >= int(all.size()))
      return false;
    all.push_back(parent);
  }
  if (int(all.size()) > maxDraftTokens)
    return false;
  if (!cache.apply({Kind::Append, {forkId(id)}, int(parents.size())}))
    return false;
  branches[id].parents = all;
  return true;
}

void SpeculationModel::dropBranches(int sequence) {
  std::erase_if(branches, [&](const auto &entry) {
    bool drops = entry.second.sequence == sequence;
    if (drops)
      cache.apply({Kind::Free, {forkId(entry.first)}, 0});
    return drops;
  });
}

bool SpeculationModel::commit(int id, const std::vector<int> &path) {
  const Branch branch = branches[id];
  int before = -1;
  for (int token : path) {
    if (token < 0 || token >= int(branch.parents.size()) || branch.parents[size_t(token)] != before)
      return false;
    before = token;
  }
  if (path.empty()) {
    dropBranches(branch.sequence);
    return true;
  }
  // The tokens of the path move together in the fork, which then is the sequence.
  CacheModel::Sequence &fork = cache.sequences[forkId(id)];
  size_t blockSize = size_t(cache.sizes.blockSize);
  for (size_t i = 0; i < path.size(); ++i) {
    size_t to = size_t(branch.contextLength) + i;
    fork.tokens[to] = fork.tokens[size_t(branch.contextLength + path[i])];
    cache.memory[size_t(fork.table[to / blockSize].block)][to % blockSize] = fork.tokens[to];
  }
  int length = branch.contextLength + int(path.size());
  cache.apply({Kind::Truncate, {forkId(id)}, length});
  cache.apply({Kind::Free, {branch.sequence}, 0});
  cache.apply({Kind::Attach, {branch.sequence, forkId(id)}, length});
  dropBranches(branch.sequence);
  return true;
}

bool SpeculationModel::apply(const Operation &operation) {
  int sequence = operation.sequence;
  if (operation.kind == Do::Append)
    return cache.apply({Kind::Append, {sequence}, operation.tokens});
  if (operation.kind == Do::Truncate)
    return cache.apply({Kind::Truncate, {sequence}, operation.tokens});
  if (operation.kind == Do::Create)
    return create(sequence);
  if (operation.kind == Do::Free) {
    if (!cache.apply({Kind::Free, {sequence}, 0}))
      return false;
    dropBranches(sequence);
    return true;
  }
  auto found = branches.find(operation.branch);
  if (found == branches.end() || found->second.sequence != sequence)
    return false;
  const std::vector<int> &parents = found->second.parents;
  switch (operation.kind) {
  case Do::Draft:
    return draft(operation.branch, operation.list);
  case Do::Commit:
    return commit(operation.branch, operation.list);
  case Do::Accept: {
    // Only a chain has first tokens.
    bool isChain = true;
    for (int i = 0; i < int(parents.size()); ++i)
      isChain = isChain && parents[size_t(i)] == i - 1;
    if (operation.tokens > int(parents.size()) || (!isChain && operation.tokens > 0))
      return false;
    std::vector<int> path;
    for (int i = 0; i < operation.tokens; ++i)
      path.push_back(i);
    return commit(operation.branch, path);
  }
  default: // Rollback
    cache.apply({Kind::Free, {forkId(operation.branch)}, 0});
    branches.erase(found);
    return true;
  }
}

} // namespace llmir::model
