// MappedCheckpoint: copying pages into blocks of the cache, checking them there, and sharing blocks
// between the sequences that shared them when they were saved.

#include "llmir/Cache/MappedCheckpoint.h"

#include "CheckpointPages.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

namespace llmir {

namespace {

/// Each of `blocks` once.
std::vector<uint32_t> distinct(std::span<const uint32_t> blocks) {
  std::vector<uint32_t> result(blocks.begin(), blocks.end());
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

std::vector<uint32_t> treeBlocks(const CheckpointManifest &manifest) {
  std::vector<uint32_t> blocks;
  for (const CheckpointTreeNode &node : manifest.tree)
    blocks.push_back(node.block);
  return distinct(blocks);
}

} // namespace

MappedCheckpoint::MappedCheckpoint(CheckpointManifest manifest, CheckpointPages pages,
                                   PagedKVCache &cache)
    : manifest_(std::move(manifest)), pages_(std::make_unique<CheckpointPages>(std::move(pages))),
      cache_(&cache), blocks_(manifest_.blocks.size()), isAttached_(manifest_.sequences.size(), 0) {
  for (const CheckpointSequence &sequence : manifest_.sequences)
    for (uint32_t block : distinct(sequence.blocks))
      ++blocks_[block].users;
  for (uint32_t block : treeBlocks(manifest_))
    ++blocks_[block].users;
}

MappedCheckpoint::MappedCheckpoint(MappedCheckpoint &&other) noexcept = default;

MappedCheckpoint &MappedCheckpoint::operator=(MappedCheckpoint &&other) noexcept {
  if (this != &other) {
    release();
    manifest_ = std::move(other.manifest_);
    pages_ = std::move(other.pages_);
    cache_ = other.cache_;
    blocks_ = std::move(other.blocks_);
    isAttached_ = std::move(other.isAttached_);
    isTreeAttached_ = other.isTreeAttached_;
  }
  return *this;
}

MappedCheckpoint::~MappedCheckpoint() { release(); }

void MappedCheckpoint::release() {
  for (Block &block : blocks_)
    if (block.held)
      (void)cache_->releaseBlock(*block.held);
  blocks_.clear();
}

void MappedCheckpoint::letGo(uint32_t block) {
  // Only a cache that has failed refuses to take back what is owned here.
  (void)cache_->releaseBlock(*blocks_[block].held);
  blocks_[block].held.reset();
}

std::vector<BlockId> MappedCheckpoint::heldBlocks() const {
  std::vector<BlockId> held;
  for (const Block &block : blocks_)
    if (block.held)
      held.push_back(*block.held);
  return held;
}

std::vector<BlockId> MappedCheckpoint::heldIds(std::span<const uint32_t> blocks) const {
  std::vector<BlockId> ids;
  for (uint32_t block : blocks)
    ids.push_back(*blocks_[block].held);
  return ids;
}

Status MappedCheckpoint::hold(std::span<const uint32_t> blocks, std::vector<uint32_t> &added) {
  auto load = [&](uint32_t block) {
    StatusOr<BlockId> id = cache_->allocateBlock();
    if (!id)
      return id.status();
    blocks_[block].held = *id;
    added.push_back(block);
    StatusOr<std::span<uint8_t>> bytes = cache_->blockBytes(*id);
    if (!bytes)
      return bytes.status();
    return pages_->read(manifest_.pages[manifest_.blocks[block]], *bytes);
  };
  for (uint32_t block : blocks) {
    Status status = blocks_[block].held ? Status::ok() : load(block);
    if (!status.isOk()) {
      settle(status, blocks, added);
      return status.withContext("checkpoint '" + manifest_.name + "'");
    }
  }
  return Status::ok();
}

void MappedCheckpoint::settle(const Status &status, std::span<const uint32_t> blocks,
                              std::span<const uint32_t> added) {
  if (!status.isOk()) {
    for (uint32_t block : added)
      letGo(block);
    return;
  }
  for (uint32_t block : blocks)
    if (blocks_[block].users == 0)
      letGo(block);
}

Status MappedCheckpoint::takeScales() {
  if (manifest_.keyScales.empty() && manifest_.valueScales.empty())
    return Status::ok();
  return cache_->setConstantScales(manifest_.keyScales, manifest_.valueScales)
      .withContext("checkpoint '" + manifest_.name + "'");
}

Status MappedCheckpoint::attach(SequenceId id, std::optional<SequenceId> as) {
  auto found = std::find_if(manifest_.sequences.begin(), manifest_.sequences.end(),
                            [id](const CheckpointSequence &s) { return s.id == id; });
  if (found == manifest_.sequences.end())
    return notFound("checkpoint '" + manifest_.name + "' has no sequence " +
                    std::to_string(static_cast<int32_t>(id)));
  SequenceId target = as.value_or(id);
  if (cache_->contains(target))
    return failedPrecondition("cannot attach sequence " + std::to_string(static_cast<int32_t>(id)) +
                              " of checkpoint '" + manifest_.name + "': the cache has sequence " +
                              std::to_string(static_cast<int32_t>(target)));
  std::vector<uint32_t> blocks = distinct(found->blocks), added;
  LLMIR_RETURN_IF_ERROR(hold(blocks, added));
  Status status = takeScales();
  if (status.isOk())
    status = cache_->attach(target, heldIds(found->blocks), found->length);
  char &isAttached = isAttached_[static_cast<size_t>(found - manifest_.sequences.begin())];
  if (status.isOk() && !isAttached) {
    isAttached = 1;
    for (uint32_t block : blocks)
      --blocks_[block].users;
  }
  settle(status, blocks, added);
  return status;
}

Status MappedCheckpoint::attachTree(CheckpointTree &tree) {
  std::vector<uint32_t> blocks = treeBlocks(manifest_), added;
  LLMIR_RETURN_IF_ERROR(hold(blocks, added));
  Status status = takeScales();
  if (status.isOk()) {
    std::vector<TreeRecord> records;
    for (const CheckpointTreeNode &node : manifest_.tree)
      records.push_back(
          {node.key, node.parent, node.tokens, *blocks_[node.block].held, node.attributes});
    status = tree.importRecords(records);
  }
  if (status.isOk() && !isTreeAttached_) {
    isTreeAttached_ = true;
    for (uint32_t block : blocks)
      --blocks_[block].users;
  }
  settle(status, blocks, added);
  return status;
}

Status MappedCheckpoint::readAll() {
  std::vector<uint32_t> blocks;
  for (uint32_t block = 0; block < blocks_.size(); ++block)
    if (blocks_[block].users > 0)
      blocks.push_back(block);
  std::vector<uint32_t> added;
  return hold(blocks, added);
}

Status MappedCheckpoint::verify() const {
  auto blockBytes = static_cast<size_t>(manifest_.layout.block_stride);
  for (const CheckpointPage &page : manifest_.pages)
    LLMIR_RETURN_IF_ERROR(
        pages_->verify(page, blockBytes).withContext("checkpoint '" + manifest_.name + "'"));
  return Status::ok();
}

} // namespace llmir
