// PrefixReplay: the same operations on the model and on the real tree, and the comparison.

#include "PrefixReplay.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace llmir::model {

using Kind = PrefixOperation::Kind;

namespace {

/// A store in plain memory.
class MemoryStore : public BlockStore {
public:
  MemoryStore(size_t pageSize, int numPages) : pageSize_(pageSize), pages_(size_t(numPages)) {}

  int64_t numPages() const override { return int64_t(pages_.size()); }
  size_t pageSize() const override { return pageSize_; }
  Status write(int64_t page, const PrefixKey &key, std::span<const uint8_t> bytes) override {
    pages_[size_t(page)] = {key, {bytes.begin(), bytes.end()}};
    return Status::ok();
  }
  Status read(int64_t page, const PrefixKey &key, std::span<uint8_t> bytes) override {
    const Page &stored = pages_[size_t(page)];
    if (stored.key != key || stored.bytes.size() != bytes.size())
      return dataLoss("another block's page");
    std::memcpy(bytes.data(), stored.bytes.data(), bytes.size());
    return Status::ok();
  }

private:
  struct Page {
    PrefixKey key;
    std::vector<uint8_t> bytes;
  };
  size_t pageSize_;
  std::vector<Page> pages_;
};

BlockId toBlockId(Ticket ticket) { return {ticket.block, uint32_t(ticket.generation)}; }

/// The first namespace is everybody's, the second a tenant's, the others are adapters'.
PrefixNamespace toNamespace(int space) {
  PrefixNamespace result;
  if (space == 1)
    result.salt = "a tenant's salt";
  else if (space > 1)
    result.adapterId = uint64_t(space - 1);
  return result;
}

CacheParameters parametersOf(const PrefixSizes &sizes, const CacheStorage &storage) {
  CacheParameters parameters = storage.parameters;
  parameters.blockSize = sizes.blockSize;
  parameters.maxSeqLen = sizes.maxSeqLen;
  return parameters;
}

} // namespace

PrefixReplay::PrefixReplay(const PrefixSizes &sizes, const CacheStorage &storage)
    : model_(sizes), elementType_(storage.elementType),
      cache_(parametersOf(sizes, storage), sizes.numBlocks) {
  PrefixTreeOptions options;
  if (sizes.numPages > 0)
    options.store =
        std::make_unique<MemoryStore>(size_t(cache_.layout().block_stride), sizes.numPages);
  tree_ = std::make_unique<PrefixTree>(cache_, std::move(options));
  cache_.setReclaimer(tree_.get());
  model_.prefers = [this](PrefixModel::Choice choice, const Path &path) {
    if (choice == PrefixModel::Choice::PageGivenUp)
      return !stored_.count(path);
    const std::optional<Ticket> &block = model_.nodes.at(path).block;
    return lastMatched_ && block && *lastMatched_ == toBlockId(*block);
  };
}

/// Appends the tokens of `path` from `first` on.
bool PrefixReplay::append(SequenceId id, const Path &path, size_t first) {
  std::vector<Tag> tags = tagsOf(path);
  tags.erase(tags.begin(), tags.begin() + int64_t(first));
  EncodedTags encoded = encodeTags(cache_.layout(), elementType_, tags);
  auto sequence = static_cast<int32_t>(id);
  return cache_
      .appendKV(encoded.keys.data(), encoded.values.data(), 1, int64_t(tags.size()), &sequence,
                nullptr)
      .isOk();
}

bool PrefixReplay::start(SequenceId id, const Path &prompt) {
  PrefixMatch match = tree_->match(prompt.tokens, toNamespace(prompt.space));
  if (!match.blocks.empty())
    lastMatched_ = match.blocks.back();
  if (!cache_.attach(id, match.blocks, match.length).isOk())
    return false;
  if (append(id, prompt, size_t(match.length)))
    return true;
  (void)cache_.freeSequence(id);
  return false;
}

bool PrefixReplay::keep(SequenceId id, const Path &path) {
  return cache_.contains(id) &&
         tree_->insert(path.tokens, *cache_.blocks(id), toNamespace(path.space)).isOk();
}

bool PrefixReplay::perform(const PrefixOperation &operation) {
  SequenceId id{operation.sequence};
  auto found = model_.sequences.find(operation.sequence);
  Path path = found == model_.sequences.end() ? Path() : found->second.path;
  PrefixKeyChain keys(toNamespace(operation.path.space), model_.sizes.blockSize);
  keys.extend(operation.path.tokens);
  switch (operation.kind) {
  case Kind::Start:
    return !cache_.contains(id) && start(id, operation.path);
  case Kind::Append:
    path.tokens.push_back(operation.token);
    return cache_.contains(id) && append(id, path, path.tokens.size() - 1);
  case Kind::Keep:
    return keep(id, path);
  case Kind::Finish:
    return keep(id, path) && cache_.freeSequence(id).isOk();
  case Kind::Drop:
    return cache_.freeSequence(id).isOk();
  case Kind::Fork:
    return cache_.fork(id, SequenceId{operation.other}).isOk();
  case Kind::Evict:
    return tree_->evict(operation.token) > 0;
  case Kind::Pin:
    return tree_->pin(keys).isOk();
  case Kind::Unpin:
    return tree_->unpin(keys).isOk();
  case Kind::Clear:
    tree_->clear();
    return true;
  }
  return false;
}

/// The model takes the tree's side where it may choose.
void PrefixReplay::noteChoices() {
  stored_.clear();
  forEachNode([this](const Path &path, const PrefixBlockView &view) {
    if (view.page)
      stored_.insert(path);
  });
}

void PrefixReplay::forEachNode(
    const std::function<void(const Path &, const PrefixBlockView &)> &visitor) const {
  std::unordered_map<PrefixKey, Path, PrefixKeyHash> paths;
  for (int space = 0; space < 4; ++space)
    paths[rootKey(toNamespace(space), model_.sizes.blockSize)] = {space, {}};
  tree_->visit([&](const PrefixBlockView &view) {
    Path path = paths[view.parent];
    path.tokens.insert(path.tokens.end(), view.tokens.begin(), view.tokens.end());
    paths[view.key] = path;
    visitor(path, view);
  });
}

std::string PrefixReplay::step(const PrefixOperation &operation) {
  lastMatched_.reset();
  bool actual = perform(operation);
  noteChoices();
  bool expected = model_.apply(operation);
  // In which order everything is forgotten is the tree's business.
  if (std::vector<int32_t> free = cache_.pool().freeBlocks();
      operation.kind == Kind::Clear && std::ranges::is_permutation(free, model_.pool.free))
    model_.pool.free.assign(free.begin(), free.end());
  return actual == expected ? "" : expected ? "is refused" : "is not refused";
}

std::string PrefixReplay::clear() {
  std::vector<PrefixOperation> all;
  for (const auto &[id, sequence] : model_.sequences)
    all.push_back({Kind::Drop, id, 0, 0, {}});
  // Unpinning a path unpins all blocks before its end.
  PrefixModel unpinned = model_;
  while (!unpinned.pins.empty()) {
    auto longest = std::ranges::max_element(
        unpinned.pins, {}, [](const auto &entry) { return entry.first.tokens.size(); });
    all.push_back({Kind::Unpin, 0, 0, 0, longest->first});
    unpinned.apply(PrefixOperation(all.back()));
  }
  all.push_back({Kind::Clear, 0, 0, 0, {}});
  for (const PrefixOperation &operation : all)
    if (std::string problem = step(operation); !problem.empty())
      return describe(operation) + " " + problem;
  return "";
}

std::string PrefixReplay::compare() {
  std::vector<BlockId> held;
  tree_->appendHeldBlocks(held);
  for (const Status &status :
       {cache_.checkInvariants(held), tree_->checkInvariants(), tree_->status()})
    if (!status)
      return status.message();
  for (const std::string &problem :
       {model_.check(), compareSequences(), compareNodes(), compareNodeContents(), compareCounts()})
    if (!problem.empty())
      return problem;
  return "";
}

std::string PrefixReplay::compareSequences() const {
  if (cache_.numSequences() != model_.sequences.size())
    return "another number of sequences";
  for (const auto &[id, sequence] : model_.sequences) {
    StatusOr<std::span<const BlockId>> blocks = cache_.blocks(SequenceId{id});
    if (!blocks || *cache_.length(SequenceId{id}) != int64_t(sequence.path.tokens.size()) ||
        !std::equal(blocks->begin(), blocks->end(), sequence.table.begin(), sequence.table.end(),
                    [](BlockId real, Ticket ticket) { return real == toBlockId(ticket); }))
      return "s" + std::to_string(id) + " has another length or other blocks";
    if (std::string problem =
            checkTags(cache_, elementType_, SequenceId{id}, tagsOf(sequence.path));
        !problem.empty())
      return problem;
  }
  return "";
}

std::string PrefixReplay::compareNodes() const {
  size_t count = 0;
  std::string problem;
  forEachNode([&](const Path &path, const PrefixBlockView &view) {
    ++count;
    auto found = model_.nodes.find(path);
    if (found == model_.nodes.end()) {
      problem = "the tree knows a block that it should have forgotten";
      return;
    }
    const auto &[block, isOnDisk, lastUse] = found->second;
    if (view.block.has_value() != block.has_value() || view.page.has_value() != isOnDisk ||
        (block && *view.block != toBlockId(*block)))
      problem = "a known block is elsewhere";
    if (int64_t(view.lastUse) != lastUse || view.pins != model_.numPins(path))
      problem = "a known block was last used at " + std::to_string(view.lastUse) + " instead of " +
                std::to_string(lastUse) + " or has other pins";
  });
  if (problem.empty() && count != model_.nodes.size())
    problem = "the tree knows " + std::to_string(count) + " blocks instead of " +
              std::to_string(model_.nodes.size());
  return problem;
}

/// Every known block in memory holds what its path writes.
std::string PrefixReplay::compareNodeContents() {
  for (const auto &[path, node] : model_.nodes) {
    if (!node.block)
      continue;
    SequenceId reader{1 << 20};
    BlockId block = toBlockId(*node.block);
    std::vector<Tag> tags = tagsOf(path);
    tags.erase(tags.begin(), tags.end() - model_.sizes.blockSize);
    if (!cache_.attach(reader, {&block, 1}, model_.sizes.blockSize).isOk())
      return "a known block cannot be attached";
    std::string problem = checkTags(cache_, elementType_, reader, tags);
    if (!cache_.freeSequence(reader).isOk() || !problem.empty())
      return "a known block: " + problem;
  }
  return "";
}

std::string PrefixReplay::compareCounts() const {
  const PrefixTreeStatistics &statistics = tree_->statistics();
  if (!std::ranges::equal(cache_.pool().freeBlocks(), model_.pool.free))
    return "other blocks are free, or in another order";
  if (statistics.memoryBlocks != model_.numMemoryBlocks() ||
      statistics.storedPages != model_.numPages())
    return "another number of blocks in memory or on the disk";
  PrefixModel emptied = model_;
  if (int64_t evictable = tree_->countEvictable(),
      expected = emptied.apply({Kind::Evict, 0, 0, model_.sizes.numBlocks, {}})
                     ? int64_t(emptied.pool.free.size() - model_.pool.free.size())
                     : 0;
      evictable != expected)
    return std::to_string(evictable) + " blocks may go instead of " + std::to_string(expected);
  return "";
}

} // namespace llmir::model
