// PrefixModel: matching, inserting, evicting. What is worth trying in a state, and which states
// count as one, is in PrefixModelStates.cpp.

#include "PrefixModel.h"

#include <algorithm>

namespace llmir::model {

using Kind = PrefixOperation::Kind;

Tag tagOf(const Path &path) {
  Tag hash = 2166136261u + Tag(path.space);
  for (int token : path.tokens)
    hash = (hash ^ Tag(token + 1)) * 16777619u;
  return hash ^ (hash >> 15);
}

std::vector<Tag> tagsOf(const Path &path) {
  std::vector<Tag> tags;
  Path prefix{path.space, {}};
  for (int token : path.tokens) {
    prefix.tokens.push_back(token);
    tags.push_back(tagOf(prefix));
  }
  return tags;
}

std::string describe(const PrefixOperation &operation) {
  static const char *const names[] = {"start", "append", "keep", "finish", "drop",
                                      "fork",  "evict",  "pin",  "unpin",  "clear"};
  std::string text = names[int(operation.kind)];
  text += " s" + std::to_string(operation.sequence);
  if (operation.kind == Kind::Fork)
    text += " into s" + std::to_string(operation.other);
  text += " " + std::to_string(operation.token) + " [" + std::to_string(operation.path.space) + ":";
  for (int token : operation.path.tokens)
    text += " " + std::to_string(token);
  return text + "]";
}

static Path firstTokens(const Path &path, int count) {
  return {path.space, {path.tokens.begin(), path.tokens.begin() + count}};
}

int PrefixModel::length(int sequence) const {
  auto found = sequences.find(sequence);
  return found == sequences.end() ? 0 : int(found->second.path.tokens.size());
}

Path PrefixModel::parentOf(const Path &node) const {
  return firstTokens(node, int(node.tokens.size()) - sizes.blockSize);
}

bool PrefixModel::hasChild(const Path &node, bool inMemory) const {
  return std::any_of(nodes.begin(), nodes.end(), [&](const auto &entry) {
    return parentOf(entry.first) == node && (!inMemory || entry.second.block);
  });
}

int PrefixModel::numPins(const Path &node) const {
  auto found = pins.find(node);
  return found == pins.end() ? 0 : found->second;
}

void PrefixModel::remove(const Path &node) {
  // Those behind it first; they are on the disk only.
  while (hasChild(node, false))
    for (const auto &[path, child] : nodes)
      if (parentOf(path) == node) {
        remove(Path(path));
        break;
      }
  if (nodes[node].block)
    pool.release(*nodes[node].block);
  nodes.erase(node);
}

/// Makes sure of a free page: copies of what is in memory go first, then the only copies that
/// nothing is behind.
bool PrefixModel::obtainPage() {
  if (numPages() < sizes.numPages)
    return true;
  using Rank = std::pair<bool, int>;
  std::optional<std::pair<Rank, Path>> victim;
  for (const auto &[path, node] : nodes) {
    if (!node.isOnDisk || (!node.block && hasChild(path, false)) || protected_.count(path))
      continue;
    Rank rank{!node.block, node.lastUse};
    if (!victim || rank < victim->first ||
        (rank == victim->first && prefers && prefers(Choice::PageGivenUp, path)))
      victim = {rank, path};
  }
  if (!victim)
    return false;
  nodes[victim->second].isOnDisk = false;
  if (!nodes[victim->second].block)
    remove(victim->second);
  return true;
}

void PrefixModel::evictLeaf(const Path &leaf) {
  if (sizes.numPages > 0 && (nodes[leaf].isOnDisk || obtainPage())) {
    nodes[leaf].isOnDisk = true;
    pool.release(*nodes[leaf].block);
    nodes[leaf].block.reset();
  } else {
    remove(leaf);
  }
}

int PrefixModel::evict(int count) {
  int evicted = 0;
  while (evicted < count) {
    const std::pair<const Path, Node> *oldest = nullptr;
    for (const auto &entry : nodes) {
      const auto &[path, node] = entry;
      bool mayGo = node.block && pool.blocks[size_t(node.block->block)].owners == 1 &&
                   numPins(path) == 0 && !hasChild(path, true) && !protected_.count(path);
      if (mayGo && (!oldest || node.lastUse < oldest->second.lastUse))
        oldest = &entry;
    }
    if (!oldest)
      break;
    evictLeaf(Path(oldest->first));
    ++evicted;
  }
  return evicted;
}

/// Gives up the block that a sequence is about to write into, unless others need it.
void PrefixModel::giveUp(Ticket block) {
  for (const auto &[path, node] : nodes)
    if (node.block && node.block->block == block.block && numPins(path) == 0 &&
        !hasChild(path, true)) {
      evictLeaf(Path(path));
      return;
    }
}

/// Brings a node from the disk back to memory.
bool PrefixModel::load(const Path &node) {
  protected_ = {node, parentOf(node)};
  if (pool.free.empty())
    evict(1);
  protected_.clear();
  nodes[node].block = pool.allocate();
  if (!nodes[node].block)
    return false;
  std::vector<Tag> tags = tagsOf(node);
  memory[size_t(nodes[node].block->block)].assign(tags.end() - sizes.blockSize, tags.end());
  return true;
}

PrefixModel::Match PrefixModel::match(const Path &prompt) {
  ++useCount_;
  Match result;
  int size = int(prompt.tokens.size()), full = 0;
  for (; full + sizes.blockSize <= size; full += sizes.blockSize) {
    Path path = firstTokens(prompt, full + sizes.blockSize);
    if (!nodes.count(path) || (!nodes[path].block && !load(path)))
      break;
    nodes[path].lastUse = useCount_;
    result.blocks.push_back(*nodes[path].block);
  }
  result.length = full;
  if (full == size && size > 0) {
    // The last token is computed in any case.
    --result.length;
    result.blocks.resize(size_t((result.length + sizes.blockSize - 1) / sizes.blockSize));
    return result;
  }
  matchInPart(prompt, result);
  return result;
}

/// Adds the block that has the most of what follows in common. One on the disk alone is not read
/// for that, and may hide others that are no better.
void PrefixModel::matchInPart(const Path &prompt, Match &found) {
  int full = found.length, size = int(prompt.tokens.size()), best = 0;
  bool isHidden = false;
  Path bestPath;
  auto commonTokens = [&](const Path &path) {
    int common = 0;
    while (full + common < size - 1 && common < sizes.blockSize &&
           path.tokens[size_t(full + common)] == prompt.tokens[size_t(full + common)])
      ++common;
    return common;
  };
  for (const auto &[path, node] : nodes)
    if (parentOf(path) == firstTokens(prompt, full))
      isHidden = isHidden || (!node.block && commonTokens(path) > 0);
  for (const auto &[path, node] : nodes) {
    if (!node.block || parentOf(path) != firstTokens(prompt, full))
      continue;
    int common = commonTokens(path);
    bool isPreferred = prefers && prefers(Choice::BlockSharedInPart, path);
    bool isBetter = prefers && isHidden ? isPreferred : common > best;
    if (common > 0 && (isBetter || (common == best && isPreferred))) {
      best = common;
      bestPath = path;
    }
  }
  if (best > 0) {
    nodes[bestPath].lastUse = useCount_;
    found.blocks.push_back(*nodes[bestPath].block);
    found.length += best;
  }
}

bool PrefixModel::append(Sequence &sequence, const std::vector<int> &tokens) {
  auto owners = [&] {
    bool writesInto = sequence.path.tokens.size() % size_t(sizes.blockSize) != 0 && !tokens.empty();
    return writesInto ? pool.blocks[size_t(sequence.table.back().block)].owners : 0;
  };
  auto needed = [&] {
    int end = int(sequence.path.tokens.size() + tokens.size());
    bool copies = owners() > 1;
    return (end + sizes.blockSize - 1) / sizes.blockSize - int(sequence.table.size()) +
           (copies ? 1 : 0);
  };
  if (int(sequence.path.tokens.size() + tokens.size()) > sizes.maxSeqLen)
    return false;
  if (int missing = needed() - int(pool.free.size()); missing > 0)
    evict(missing);
  if (needed() > int(pool.free.size()) && owners() == 2)
    giveUp(sequence.table.back());
  if (needed() > int(pool.free.size()))
    return false;
  for (int token : tokens) {
    int offset = int(sequence.path.tokens.size()) % sizes.blockSize;
    if (offset == 0) {
      sequence.table.push_back(*pool.allocate());
    } else if (pool.blocks[size_t(sequence.table.back().block)].owners > 1) {
      Ticket shared = sequence.table.back(), copy = *pool.allocate();
      memory[size_t(copy.block)] = memory[size_t(shared.block)];
      pool.release(shared);
      sequence.table.back() = copy;
    }
    sequence.path.tokens.push_back(token);
    memory[size_t(sequence.table.back().block)][size_t(offset)] = tagOf(sequence.path);
  }
  return true;
}

bool PrefixModel::start(int id, const Path &prompt) {
  Match found = match(prompt);
  Sequence sequence{firstTokens(prompt, found.length), found.blocks};
  for (Ticket block : sequence.table)
    pool.retain(block);
  sequences[id] = sequence;
  std::vector<int> rest(prompt.tokens.begin() + found.length, prompt.tokens.end());
  if (append(sequences[id], rest))
    return true;
  drop(id); // It does not fit: nothing of it stays, but the prefix was used.
  return false;
}

void PrefixModel::keep(const Sequence &sequence) {
  ++useCount_;
  int size = int(sequence.path.tokens.size());
  for (int end = sizes.blockSize; end <= size; end += sizes.blockSize) {
    Node &node = nodes[firstTokens(sequence.path, end)];
    if (!node.block) {
      node.block = sequence.table[size_t(end / sizes.blockSize - 1)];
      pool.retain(*node.block);
    }
    node.lastUse = useCount_;
  }
}

void PrefixModel::drop(int id) {
  std::vector<Ticket> &table = sequences[id].table;
  for (; !table.empty(); table.pop_back())
    pool.release(table.back());
  sequences.erase(id);
}

bool PrefixModel::pin(const Path &path) {
  ++useCount_;
  for (int end = sizes.blockSize; end <= int(path.tokens.size()); end += sizes.blockSize) {
    auto found = nodes.find(firstTokens(path, end));
    if (found == nodes.end())
      break;
    if (!found->second.block && !load(found->first))
      return false;
    found->second.lastUse = useCount_;
  }
  for (int end = sizes.blockSize; end <= int(path.tokens.size()); end += sizes.blockSize)
    ++pins[firstTokens(path, end)];
  return true;
}

bool PrefixModel::unpin(const Path &path) {
  for (int end = sizes.blockSize; end <= int(path.tokens.size()); end += sizes.blockSize)
    if (!pins.count(firstTokens(path, end)))
      return false;
  for (int end = sizes.blockSize; end <= int(path.tokens.size()); end += sizes.blockSize)
    if (Path node = firstTokens(path, end); --pins[node] == 0)
      pins.erase(node);
  return true;
}

bool PrefixModel::apply(const Operation &operation) {
  auto found = sequences.find(operation.sequence);
  bool exists = found != sequences.end();
  switch (operation.kind) {
  case Kind::Start:
    return !exists && start(operation.sequence, operation.path);
  case Kind::Append:
    return exists && append(found->second, {operation.token});
  case Kind::Keep:
    if (exists)
      keep(found->second);
    return exists;
  case Kind::Finish:
    if (exists)
      keep(Sequence(found->second));
    [[fallthrough]];
  case Kind::Drop:
    if (exists)
      drop(operation.sequence);
    return exists;
  case Kind::Fork:
    if (!exists || sequences.count(operation.other))
      return false;
    for (Ticket block : found->second.table)
      pool.retain(block);
    sequences[operation.other] = Sequence(found->second);
    return true;
  case Kind::Evict:
    return evict(operation.token) > 0;
  case Kind::Pin:
    return pin(operation.path);
  case Kind::Unpin:
    return unpin(operation.path);
  case Kind::Clear:
    // Children before parents; what is pinned, or has something pinned behind it, stays.
    for (bool again = true; std::exchange(again, false);)
      for (const auto &[path, node] : nodes)
        if (numPins(path) == 0 && !hasChild(path, false)) {
          remove(Path(path));
          again = true;
          break;
        }
    return true;
  }
  return false;
}

} // namespace llmir::model
