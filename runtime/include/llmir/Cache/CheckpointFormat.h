// CheckpointFormat: what a checkpoint's manifest and the catalog of a checkpoint folder say, and
// their bytes. Readers take any bytes: whatever is wrong ends in a Status, and a value that they
// return is consistent in itself. They open no file. docs/Checkpoints.md has the format.

#ifndef LLMIR_CACHE_CHECKPOINTFORMAT_H
#define LLMIR_CACHE_CHECKPOINTFORMAT_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/CacheLayout.h"
#include "llmir/Cache/PagedKVCache.h"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace llmir {

/// XXH3-128 of some bytes, in canonical order: what a page is known by and checked with.
struct PageHash {
  std::array<uint8_t, 16> bytes{};

  friend auto operator<=>(const PageHash &, const PageHash &) = default;
};

/// The hash of `bytes`.
PageHash hashPage(std::span<const uint8_t> bytes);
/// 32 hexadecimal digits.
std::string toString(const PageHash &hash);

/// A file of pages; its name follows from the number.
struct CheckpointPack {
  uint64_t number = 0;
  uint64_t bytes = 0; ///< Of the whole file.
};

enum class PageEncoding : uint32_t { Raw = 0, Zstd = 1 };

/// Where the content of one block is stored. Its decoded size is the layout's block_stride.
struct CheckpointPage {
  PageHash hash;     ///< Of the decoded bytes.
  uint32_t pack = 0; ///< Index into CheckpointManifest::packs.
  PageEncoding encoding = PageEncoding::Raw;
  uint64_t offset = 0; ///< In the pack.
  uint64_t storedBytes = 0;
};

/// A sequence; forks name the same blocks.
struct CheckpointSequence {
  SequenceId id{};
  int64_t length = 0;           ///< Tokens.
  std::vector<uint32_t> blocks; ///< Indices into CheckpointManifest::blocks, in order of position.
};

/// A node of a prefix tree: the tokens of one block, after those of its parent.
struct CheckpointTreeNode {
  std::array<uint8_t, 32> key{};
  std::optional<uint32_t> parent; ///< An earlier node; none for a child of the root.
  uint32_t block = 0;             ///< Index into CheckpointManifest::blocks.
  std::vector<int32_t> tokens;
  std::vector<uint8_t> attributes; ///< The tree's own; not looked into.
};

/// One cache of a checkpoint (most have one): which blocks there were, what was in them, and who
/// used them.
struct CheckpointManifest {
  uint64_t number = 0;            ///< Rises with every manifest of a folder.
  uint32_t part = 0;              ///< Which cache of the checkpoint this is.
  uint32_t numParts = 1;          ///< Caches of the checkpoint.
  int64_t createdNanoseconds = 0; ///< Since 1970.
  std::string name;               ///< Given by the caller.
  std::string model;              ///< Whose keys and values they are; may be empty.
  llmir_cache_layout layout{};    ///< The cache's type.
  std::vector<float> keyScales;   ///< Constants, [layers][KV heads], or none.
  std::vector<float> valueScales; ///< Constants, [layers][KV heads], or none.
  std::vector<CheckpointPack> packs;
  std::vector<CheckpointPage> pages;
  std::vector<uint32_t> blocks; ///< The page of each block; blocks of equal content share one.
  std::vector<CheckpointSequence> sequences;
  std::vector<CheckpointTreeNode> tree; ///< Parents before children.
};

/// A manifest's bytes, checksum included.
std::vector<uint8_t> serializeManifest(const CheckpointManifest &manifest);
/// DataLoss says what does not fit; Unimplemented names a version that this reader does not know.
StatusOr<CheckpointManifest> parseManifest(std::span<const uint8_t> bytes);

/// Numbers of checkpoints are below this: they have twelve digits.
inline constexpr uint64_t endOfNumbers = 1'000'000'000'000;

/// One line of a catalog. The parts of a checkpoint follow one another.
struct CatalogEntry {
  uint64_t number = 0; ///< Of the manifest.
  uint32_t part = 0;   ///< Which cache of the checkpoint the manifest is of.
  PageHash manifest;   ///< Of the manifest's bytes.
  std::string name;
};

/// The checkpoints of a folder, oldest first. Whatever the catalog does not name does not exist.
struct CheckpointCatalog {
  uint64_t nextNumber = 1;
  std::vector<CatalogEntry> entries;

  /// The parts of the checkpoint of that name; none when there is none.
  std::span<const CatalogEntry> find(std::string_view name) const;
};

std::vector<uint8_t> serializeCatalog(const CheckpointCatalog &catalog);
/// As parseManifest.
StatusOr<CheckpointCatalog> parseCatalog(std::span<const uint8_t> bytes);

/// What the first bytes of a file say it is.
enum class CheckpointFileKind { Manifest, Catalog, Pack, Other };
CheckpointFileKind identifyCheckpointFile(std::span<const uint8_t> bytes);

/// Bytes before the first page of a pack.
inline constexpr uint64_t packHeaderBytes = 4096;
/// The first packHeaderBytes bytes of a pack.
std::vector<uint8_t> serializePackHeader(uint64_t number);
/// Ok when `bytes` are a whole pack as the manifest knows it.
Status checkPack(std::span<const uint8_t> bytes, const CheckpointPack &pack);

} // namespace llmir

#endif // LLMIR_CACHE_CHECKPOINTFORMAT_H
