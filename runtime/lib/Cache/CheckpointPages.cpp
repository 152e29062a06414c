// CheckpointPages: mapping, decoding and checking; zstd where the build has it.

#include "CheckpointPages.h"

#include <cstring>

#ifdef LLMIR_HAVE_ZSTD
#include <zstd.h>
#endif

namespace llmir {

namespace {

std::string describe(const MappedPack &pack, const CheckpointPage &page) {
  return "page " + toString(page.hash) + " (" + std::to_string(page.storedBytes) +
         " bytes at offset " + std::to_string(page.offset) + " of " + pack.path() + ")";
}

Status checkHash(const MappedPack &pack, const CheckpointPage &page,
                 std::span<const uint8_t> bytes) {
  PageHash hash = hashPage(bytes);
  if (hash == page.hash)
    return Status::ok();
  return dataLoss(describe(pack, page) + ": checksum mismatch: its bytes hash to " +
                  toString(hash));
}

#ifdef LLMIR_HAVE_ZSTD
Status decompress(std::span<const uint8_t> stored, std::span<uint8_t> target) {
  size_t size = ZSTD_decompress(target.data(), target.size(), stored.data(), stored.size());
  if (ZSTD_isError(size))
    return dataLoss(std::string("cannot decompress: ") + ZSTD_getErrorName(size));
  if (size != target.size())
    return dataLoss("expected " + std::to_string(target.size()) + " decompressed bytes, but got " +
                    std::to_string(size));
  return Status::ok();
}
#else
Status decompress(std::span<const uint8_t>, std::span<uint8_t>) {
  return unimplemented("it is compressed, and this build has no zstd");
}
#endif

/// `count` pieces of `bytes` bytes, `stride` apart, at the same place in two blocks.
struct Pieces {
  int64_t offset, count, stride, bytes;
};

void copyPieces(const uint8_t *source, uint8_t *target, Pieces pieces) {
  for (int64_t i = 0; i < pieces.count; ++i) {
    int64_t at = pieces.offset + i * pieces.stride;
    std::memcpy(target + at, source + at, static_cast<size_t>(pieces.bytes));
  }
}

/// Addressable units of a head's channels: two i4 channels share one.
int64_t unitsOf(uint32_t type, int64_t headDim) {
  return llmir_element_bits(type) < 8 ? headDim / 2 : headDim;
}

int64_t unitBytes(uint32_t type) { return std::max<int64_t>(1, llmir_element_size(type)); }

/// Copies what belongs to one token of one head of one layer.
void copyToken(const llmir_cache_layout &layout, const uint8_t *source, uint8_t *target,
               int64_t head, int64_t token) {
  int64_t keyBytes = unitBytes(layout.key_type), valueBytes = unitBytes(layout.value_type);
  int64_t scaleBytes = llmir_element_size(layout.scale_type);
  // Interleaved channels of a key lie side by side.
  copyPieces(source, target,
             {head + token * layout.key_token_stride,
              unitsOf(layout.key_type, layout.key_head_dim) / layout.key_interleave,
              layout.key_channel_stride, keyBytes * layout.key_interleave});
  copyPieces(
      source, target,
      {head + layout.value_offset + token / layout.value_interleave * layout.value_token_stride +
           token % layout.value_interleave * valueBytes,
       unitsOf(layout.value_type, layout.value_head_dim), layout.value_channel_stride, valueBytes});
  copyPieces(source, target,
             {head + layout.key_scale_offset + token * scaleBytes,
              llmir_stored_scale_groups(layout.key_scale_granularity, layout.key_head_dim,
                                        layout.key_scale_group),
              layout.key_scale_stride, scaleBytes});
  copyPieces(source, target,
             {head + layout.value_scale_offset + token * scaleBytes,
              llmir_stored_scale_groups(layout.value_scale_granularity, layout.value_head_dim,
                                        layout.value_scale_group),
              layout.value_scale_stride, scaleBytes});
}

} // namespace

StatusOr<MappedPack> MappedPack::open(CheckpointFolder &folder, const CheckpointPack &pack) {
  MappedPack mapped;
  mapped.path_ = folder.packPath(pack.number);
  auto lock = folder.files().lock(mapped.path_, LockMode::Shared, LockWait::Block);
  if (!lock)
    return asLoss(lock.status());
  mapped.lock_ = *std::move(lock);
  auto view = folder.files().map(mapped.path_);
  if (!view)
    return asLoss(view.status());
  mapped.view_ = *std::move(view);
  LLMIR_RETURN_IF_ERROR(checkPack(mapped.view_->bytes(), pack).withContext(mapped.path_));
  return mapped;
}

StatusOr<CheckpointPages> CheckpointPages::open(CheckpointFolder &folder,
                                                const CheckpointManifest &manifest) {
  CheckpointPages pages;
  for (const CheckpointPack &pack : manifest.packs) {
    StatusOr<MappedPack> mapped = MappedPack::open(folder, pack);
    if (!mapped)
      return mapped.status();
    pages.packs_.push_back(*std::move(mapped));
  }
  return pages;
}

Status readPage(const MappedPack &pack, const CheckpointPage &page, std::span<uint8_t> target) {
  std::span<const uint8_t> stored = pack.stored(page);
  if (page.encoding == PageEncoding::Zstd)
    LLMIR_RETURN_IF_ERROR(decompress(stored, target).withContext(describe(pack, page)));
  else
    std::memcpy(target.data(), stored.data(), stored.size());
  return checkHash(pack, page, target);
}

Status CheckpointPages::read(const CheckpointPage &page, std::span<uint8_t> target) const {
  return readPage(packs_[page.pack], page, target);
}

Status CheckpointPages::verify(const CheckpointPage &page, size_t blockBytes) const {
  const MappedPack &pack = packs_[page.pack];
  if (page.encoding == PageEncoding::Raw)
    return checkHash(pack, page, pack.stored(page));
  std::vector<uint8_t> decoded(blockBytes);
  return readPage(pack, page, decoded);
}

#ifdef LLMIR_HAVE_ZSTD
Status compressPage(std::span<const uint8_t> bytes, int level, std::vector<uint8_t> &encoded) {
  size_t start = encoded.size();
  encoded.resize(start + ZSTD_compressBound(bytes.size()));
  size_t size = ZSTD_compress(encoded.data() + start, encoded.size() - start, bytes.data(),
                              bytes.size(), level);
  if (ZSTD_isError(size))
    return internalError(std::string("cannot compress a page of ") + std::to_string(bytes.size()) +
                         " bytes: " + ZSTD_getErrorName(size));
  encoded.resize(start + size);
  return Status::ok();
}
#else
Status compressPage(std::span<const uint8_t>, int, std::vector<uint8_t> &) {
  return unimplemented("cannot compress pages: this build has no zstd");
}
#endif

void copyTokens(const llmir_cache_layout &layout, std::span<const uint8_t> source, int64_t tokens,
                std::span<uint8_t> target) {
  for (int64_t layer = 0; layer < layout.num_layers; ++layer)
    for (int64_t head = 0; head < layout.num_kv_heads; ++head)
      for (int64_t token = 0; token < tokens; ++token)
        copyToken(layout, source.data(), target.data(), headOffset(layout, 0, layer, head), token);
}

} // namespace llmir
