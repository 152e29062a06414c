// CheckpointWriter: blocks in the order of sequences and tree, each hashed and, when its content is
// new, appended to the pack while it is still in the processor's cache.

#include "CheckpointWriter.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace llmir {

namespace {

/// Pages start at multiples of this.
constexpr uint64_t pageAlignment = 64;

} // namespace

CheckpointWriter::CheckpointWriter(CheckpointFolder &folder, const CheckpointOptions &options,
                                   const PagedKVCache &cache, Part part)
    : folder_(folder), options_(options), cache_(cache) {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  manifest_.number = part.number;
  manifest_.part = part.part;
  manifest_.numParts = part.numParts;
  manifest_.createdNanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  manifest_.model = options.model;
  manifest_.layout = cache.layout();
  manifest_.keyScales.assign(cache.constantKeyScales().begin(), cache.constantKeyScales().end());
  manifest_.valueScales.assign(cache.constantValueScales().begin(),
                               cache.constantValueScales().end());
}

void CheckpointWriter::reusePagesOf(const CheckpointManifest &manifest) {
  // Bytes are bytes: of another cache type they serve as well, if they are as many.
  if (manifest.layout.struct_size != sizeof manifest.layout ||
      manifest.layout.block_stride != manifest_.layout.block_stride)
    return;
  for (const CheckpointPage &page : manifest.pages)
    storedPages_.insert_or_assign(page.hash, StoredPage{manifest.packs[page.pack], page});
}

StatusOr<uint32_t> CheckpointWriter::addBlock(BlockId block, int64_t usedTokens) {
  auto [entry, isNew] =
      blockNumbers_.try_emplace(block.index, static_cast<uint32_t>(blocks_.size()));
  if (isNew) {
    if (!cache_.pool().isLive(block))
      return failedPrecondition("cannot save block " + std::to_string(block.index) +
                                " (generation " + std::to_string(block.generation) +
                                "): it is stale or free");
    blocks_.push_back({block, 0});
  }
  SavedBlock &saved = blocks_[entry->second];
  saved.usedTokens = std::max(saved.usedTokens, usedTokens);
  return entry->second;
}

Status CheckpointWriter::gatherSequences() {
  for (SequenceId id : cache_.sequenceIds()) {
    StatusOr<int64_t> length = cache_.length(id);
    StatusOr<std::span<const BlockId>> blocks = cache_.blocks(id);
    if (!length || !blocks)
      return length ? blocks.status() : length.status();
    CheckpointSequence sequence{id, *length, {}};
    int64_t left = *length;
    for (BlockId block : *blocks) {
      StatusOr<uint32_t> number =
          addBlock(block, std::min<int64_t>(left, manifest_.layout.block_size));
      if (!number)
        return number.status();
      sequence.blocks.push_back(*number);
      left -= manifest_.layout.block_size;
    }
    manifest_.sequences.push_back(std::move(sequence));
  }
  return Status::ok();
}

Status CheckpointWriter::gatherTree(const CheckpointTree &tree) {
  for (TreeRecord &record : tree.exportRecords()) {
    StatusOr<uint32_t> number = addBlock(record.block, static_cast<int64_t>(record.tokens.size()));
    if (!number)
      return number.status().withContext("prefix tree");
    manifest_.tree.push_back({record.key, record.parent, *number, std::move(record.tokens),
                              std::move(record.attributes)});
  }
  return Status::ok();
}

uint32_t CheckpointWriter::packIndex(const CheckpointPack &pack) {
  // The latest packs are the most used ones.
  for (size_t i = manifest_.packs.size(); i-- > 0;)
    if (manifest_.packs[i].number == pack.number)
      return static_cast<uint32_t>(i);
  manifest_.packs.push_back(pack);
  return static_cast<uint32_t>(manifest_.packs.size() - 1);
}

StatusOr<bool> CheckpointWriter::isStoredIntact(const StoredPage &stored,
                                                std::span<const uint8_t> content) {
  if (options_.reuse == PageReuse::Trust)
    return true;
  auto pack = mappedPacks_.find(stored.pack.number);
  if (pack == mappedPacks_.end()) {
    StatusOr<MappedPack> mapped = MappedPack::open(folder_, stored.pack);
    if (!mapped) // Missing or damaged: not to be used again.
      return false;
    pack = mappedPacks_.emplace(stored.pack.number, *std::move(mapped)).first;
  }
  // Another manifest may know a longer pack of that number than this one is.
  if (pack->second.bytes() < stored.pack.bytes)
    return false;
  if (stored.page.encoding == PageEncoding::Raw)
    return std::memcmp(pack->second.stored(stored.page).data(), content.data(), content.size()) ==
           0;
  decoded_.resize(content.size());
  return readPage(pack->second, stored.page, decoded_).isOk() &&
         std::memcmp(decoded_.data(), content.data(), content.size()) == 0;
}

Status CheckpointWriter::openPack() {
  if (pack_)
    return Status::ok();
  auto file = folder_.files().create(folder_.packPath(manifest_.number));
  if (!file)
    return file.status();
  pack_ = *std::move(file);
  packBytes_ = packHeaderBytes;
  return pack_->append(serializePackHeader(manifest_.number));
}

Status CheckpointWriter::appendPage(std::span<const uint8_t> content, CheckpointPage page) {
  LLMIR_RETURN_IF_ERROR(openPack());
  std::span<const uint8_t> stored = content;
  if (options_.compressionLevel != 0) {
    encoded_.clear();
    LLMIR_RETURN_IF_ERROR(compressPage(content, options_.compressionLevel, encoded_));
    if (encoded_.size() <= content.size() - content.size() / 16) {
      page.encoding = PageEncoding::Zstd;
      stored = encoded_;
    }
  }
  page.pack = packIndex({manifest_.number, 0});
  page.offset = packBytes_;
  page.storedBytes = stored.size();
  LLMIR_RETURN_IF_ERROR(pack_->append(stored));
  packBytes_ += stored.size();
  if (uint64_t padding = (pageAlignment - packBytes_ % pageAlignment) % pageAlignment) {
    const uint8_t zeros[pageAlignment] = {};
    LLMIR_RETURN_IF_ERROR(pack_->append({zeros, padding}));
    packBytes_ += padding;
  }
  manifest_.pages.push_back(page);
  ++statistics_.pagesWritten;
  return Status::ok();
}

StatusOr<uint32_t> CheckpointWriter::storePage(std::span<const uint8_t> content) {
  CheckpointPage page;
  page.hash = hashPage(content);
  auto next = static_cast<uint32_t>(manifest_.pages.size());
  auto [entry, isNew] = newPages_.try_emplace(page.hash, next);
  if (!isNew)
    return entry->second;
  if (auto stored = storedPages_.find(page.hash); stored != storedPages_.end()) {
    StatusOr<bool> isIntact = isStoredIntact(stored->second, content);
    if (!isIntact)
      return isIntact.status();
    if (*isIntact) {
      page = stored->second.page;
      page.pack = packIndex(stored->second.pack);
      manifest_.pages.push_back(page);
      ++statistics_.pagesReused;
      return next;
    }
  }
  LLMIR_RETURN_IF_ERROR(appendPage(content, page));
  return next;
}

Status CheckpointWriter::writePages() {
  std::vector<uint8_t> used;
  for (const SavedBlock &block : blocks_) {
    StatusOr<std::span<uint8_t>> bytes = cache_.blockBytes(block.id);
    if (!bytes)
      return bytes.status();
    std::span<const uint8_t> content = *bytes;
    if (block.usedTokens < manifest_.layout.block_size) {
      used.assign(content.size(), 0);
      copyTokens(manifest_.layout, content, block.usedTokens, used);
      content = used;
    }
    StatusOr<uint32_t> page = storePage(content);
    if (!page)
      return page.status();
    manifest_.blocks.push_back(*page);
  }
  statistics_.blocks = static_cast<int64_t>(blocks_.size());
  statistics_.bytesWritten = packBytes_;
  if (!pack_)
    return Status::ok();
  manifest_.packs[packIndex({manifest_.number, 0})].bytes = packBytes_;
  return pack_->sync();
}

StatusOr<CatalogEntry> CheckpointWriter::write(std::string_view name, const CheckpointTree *tree) {
  manifest_.name = name;
  Status status = gatherSequences();
  if (status.isOk() && tree)
    status = gatherTree(*tree);
  if (status.isOk())
    status = writePages();
  CatalogEntry entry{manifest_.number, manifest_.part, {}, manifest_.name};
  if (status.isOk()) {
    std::vector<uint8_t> bytes = serializeManifest(manifest_);
    entry.manifest = hashPage(bytes);
    status = folder_.writeNew(folder_.manifestPath(manifest_.number), bytes);
    hasManifest_ = status.isOk();
  }
  if (status.isOk())
    return entry;
  discard();
  return status;
}

void CheckpointWriter::discard() {
  // What cannot be removed now is removed by the next change.
  if (pack_) {
    pack_.reset();
    (void)folder_.files().remove(folder_.packPath(manifest_.number));
  }
  if (hasManifest_)
    (void)folder_.files().remove(folder_.manifestPath(manifest_.number));
  hasManifest_ = false;
}

} // namespace llmir
