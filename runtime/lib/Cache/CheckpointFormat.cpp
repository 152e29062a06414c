// CheckpointFormat: writing and reading manifests, catalogs and pack headers. What a manifest says
// is checked for consistency in CheckpointChecks.cpp.

#include "llmir/Cache/CheckpointFormat.h"

#include "ByteStream.h"
#include "CheckpointChecks.h"

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace llmir {

namespace {

constexpr std::string_view manifestMagic = "LLMIRCKP", catalogMagic = "LLMIRCAT",
                           packMagic = "LLMIRPAG";
constexpr uint32_t formatVersion = 1;
/// Magic, version, a zero, the number of bytes that follow, their hash.
constexpr size_t headerBytes = 8 + 4 + 4 + 8 + 16;

bool startsWith(std::span<const uint8_t> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

std::span<const uint8_t> asBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

std::vector<uint8_t> seal(std::string_view magic, std::vector<uint8_t> body) {
  ByteWriter writer;
  writer.putBytes(asBytes(magic));
  writer.put<uint32_t>(formatVersion);
  writer.put<uint32_t>(0);
  writer.put<uint64_t>(body.size());
  writer.putBytes(hashPage(body).bytes);
  writer.putBytes(body);
  return writer.take();
}

/// The body behind a header of that kind, if its checksum fits.
StatusOr<std::span<const uint8_t>> unseal(std::span<const uint8_t> bytes, std::string_view magic,
                                          const char *kind) {
  if (bytes.size() < headerBytes)
    return dataLoss("expected a " + std::string(kind) + " of at least " +
                    std::to_string(headerBytes) + " bytes, but got " +
                    std::to_string(bytes.size()));
  if (!startsWith(bytes, magic))
    return dataLoss("expected a " + std::string(kind) + ", which starts with '" +
                    std::string(magic) + "'");
  ByteReader reader(bytes.subspan(magic.size()));
  auto version = reader.get<uint32_t>("version");
  if (version != formatVersion)
    return unimplemented("expected a " + std::string(kind) + " of version " +
                         std::to_string(formatVersion) + ", but got version " +
                         std::to_string(version));
  auto zero = reader.get<uint32_t>("reserved");
  auto size = reader.get<uint64_t>("body bytes");
  std::span<const uint8_t> hash = reader.getBytes(sizeof(PageHash), "checksum");
  std::span<const uint8_t> body = bytes.subspan(headerBytes);
  if (zero != 0 || size != body.size())
    return dataLoss("expected a " + std::string(kind) + " with " + std::to_string(size) +
                    " bytes after its header, but got " + std::to_string(body.size()));
  PageHash actual = hashPage(body);
  if (!std::equal(hash.begin(), hash.end(), actual.bytes.begin()))
    return dataLoss("checksum mismatch in the " + std::string(kind) + ": its " +
                    std::to_string(body.size()) + " bytes hash to " + toString(actual));
  return body;
}

void putSequence(ByteWriter &writer, const CheckpointSequence &sequence) {
  writer.put<int32_t>(static_cast<int32_t>(sequence.id));
  writer.put<int64_t>(sequence.length);
  writer.putArray<uint32_t>(sequence.blocks);
}

CheckpointSequence getSequence(ByteReader &reader) {
  CheckpointSequence sequence;
  sequence.id = SequenceId{reader.get<int32_t>("sequence id")};
  sequence.length = reader.get<int64_t>("sequence length");
  sequence.blocks = reader.getArray<uint32_t>("sequence blocks");
  return sequence;
}

void putNode(ByteWriter &writer, const CheckpointTreeNode &node) {
  writer.putBytes(node.key);
  // 0 is the root, so that no number is reserved for "none".
  writer.put<uint32_t>(node.parent ? *node.parent + 1 : 0);
  writer.put<uint32_t>(node.block);
  writer.putArray<int32_t>(node.tokens);
  writer.putArray<uint8_t>(node.attributes);
}

CheckpointTreeNode getNode(ByteReader &reader) {
  CheckpointTreeNode node;
  std::span<const uint8_t> key = reader.getBytes(node.key.size(), "tree key");
  std::copy(key.begin(), key.end(), node.key.begin());
  if (auto parent = reader.get<uint32_t>("tree parent"); parent != 0)
    node.parent = parent - 1;
  node.block = reader.get<uint32_t>("tree block");
  node.tokens = reader.getArray<int32_t>("tree tokens");
  node.attributes = reader.getArray<uint8_t>("tree attributes");
  return node;
}

void putPage(ByteWriter &writer, const CheckpointPage &page) {
  writer.putBytes(page.hash.bytes);
  writer.put<uint32_t>(page.pack);
  writer.put<uint32_t>(static_cast<uint32_t>(page.encoding));
  writer.put<uint64_t>(page.offset);
  writer.put<uint64_t>(page.storedBytes);
}

PageHash getHash(ByteReader &reader, const char *what) {
  PageHash hash;
  std::span<const uint8_t> bytes = reader.getBytes(hash.bytes.size(), what);
  std::copy(bytes.begin(), bytes.end(), hash.bytes.begin());
  return hash;
}

CheckpointPage getPage(ByteReader &reader) {
  CheckpointPage page;
  page.hash = getHash(reader, "page hash");
  page.pack = reader.get<uint32_t>("page pack");
  page.encoding = PageEncoding{reader.get<uint32_t>("page encoding")};
  page.offset = reader.get<uint64_t>("page offset");
  page.storedBytes = reader.get<uint64_t>("page bytes");
  return page;
}

/// A list whose entries take at least `bytesEach` bytes.
template <typename T>
void getList(ByteReader &reader, std::vector<T> &list, size_t bytesEach, const char *what,
             T (*getEntry)(ByteReader &)) {
  size_t count = reader.getCount(bytesEach, what);
  list.reserve(count);
  for (size_t i = 0; i < count && reader.status().isOk(); ++i)
    list.push_back(getEntry(reader));
}

CheckpointPack getPack(ByteReader &reader) {
  auto number = reader.get<uint64_t>("pack number");
  return {number, reader.get<uint64_t>("pack bytes")};
}

CatalogEntry getEntry(ByteReader &reader) {
  CatalogEntry entry;
  entry.number = reader.get<uint64_t>("entry number");
  entry.part = reader.get<uint32_t>("entry part");
  entry.manifest = getHash(reader, "entry hash");
  entry.name = reader.getString("entry name");
  return entry;
}

/// Ok when everything was read.
Status finish(ByteReader &reader, const char *kind) {
  if (reader.status().isOk() && reader.remaining() > 0)
    reader.fail(std::to_string(reader.remaining()) + " bytes are left over");
  return reader.status().withContext(kind);
}

} // namespace

PageHash hashPage(std::span<const uint8_t> bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  PageHash hash;
  static_assert(sizeof canonical.digest == sizeof hash.bytes);
  std::memcpy(hash.bytes.data(), canonical.digest, sizeof canonical.digest);
  return hash;
}

std::string toString(const PageHash &hash) {
  constexpr const char *digits = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : hash.bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::vector<uint8_t> serializeManifest(const CheckpointManifest &manifest) {
  ByteWriter writer;
  writer.put<uint64_t>(manifest.number);
  writer.put<uint32_t>(manifest.part);
  writer.put<uint32_t>(manifest.numParts);
  writer.put<int64_t>(manifest.createdNanoseconds);
  writer.putString(manifest.name);
  writer.putString(manifest.model);
  writer.putArray<uint8_t>(
      {reinterpret_cast<const uint8_t *>(&manifest.layout), sizeof manifest.layout});
  writer.putArray<float>(manifest.keyScales);
  writer.putArray<float>(manifest.valueScales);
  writer.put<uint64_t>(manifest.packs.size());
  for (const CheckpointPack &pack : manifest.packs) {
    writer.put<uint64_t>(pack.number);
    writer.put<uint64_t>(pack.bytes);
  }
  writer.put<uint64_t>(manifest.pages.size());
  for (const CheckpointPage &page : manifest.pages)
    putPage(writer, page);
  writer.putArray<uint32_t>(manifest.blocks);
  writer.put<uint64_t>(manifest.sequences.size());
  for (const CheckpointSequence &sequence : manifest.sequences)
    putSequence(writer, sequence);
  writer.put<uint64_t>(manifest.tree.size());
  for (const CheckpointTreeNode &node : manifest.tree)
    putNode(writer, node);
  return seal(manifestMagic, writer.take());
}

StatusOr<CheckpointManifest> parseManifest(std::span<const uint8_t> bytes) {
  StatusOr<std::span<const uint8_t>> body = unseal(bytes, manifestMagic, "checkpoint manifest");
  if (!body)
    return body.status();
  ByteReader reader(*body);
  CheckpointManifest manifest;
  manifest.number = reader.get<uint64_t>("number");
  manifest.part = reader.get<uint32_t>("part");
  manifest.numParts = reader.get<uint32_t>("parts");
  manifest.createdNanoseconds = reader.get<int64_t>("time");
  manifest.name = reader.getString("name");
  manifest.model = reader.getString("model");
  std::vector<uint8_t> layout = reader.getArray<uint8_t>("layout");
  // A layout of another size is of another ABI: what both have in common is kept for comparison.
  std::copy_n(layout.begin(), std::min(layout.size(), sizeof manifest.layout),
              reinterpret_cast<uint8_t *>(&manifest.layout));
  manifest.layout.struct_size = static_cast<uint32_t>(layout.size());
  manifest.keyScales = reader.getArray<float>("key scales");
  manifest.valueScales = reader.getArray<float>("value scales");
  getList(reader, manifest.packs, 16, "packs", getPack);
  getList(reader, manifest.pages, 40, "pages", getPage);
  manifest.blocks = reader.getArray<uint32_t>("blocks");
  getList(reader, manifest.sequences, 20, "sequences", getSequence);
  getList(reader, manifest.tree, 56, "tree nodes", getNode);
  LLMIR_RETURN_IF_ERROR(finish(reader, "checkpoint manifest"));
  LLMIR_RETURN_IF_ERROR(checkManifest(manifest).withContext("checkpoint manifest"));
  return manifest;
}

std::span<const CatalogEntry> CheckpointCatalog::find(std::string_view name) const {
  auto isOther = [name](const CatalogEntry &entry) { return entry.name != name; };
  auto first = std::find_if_not(entries.begin(), entries.end(), isOther);
  return {first, std::find_if(first, entries.end(), isOther)};
}

std::vector<uint8_t> serializeCatalog(const CheckpointCatalog &catalog) {
  ByteWriter writer;
  writer.put<uint64_t>(catalog.nextNumber);
  writer.put<uint64_t>(catalog.entries.size());
  for (const CatalogEntry &entry : catalog.entries) {
    writer.put<uint64_t>(entry.number);
    writer.put<uint32_t>(entry.part);
    writer.putBytes(entry.manifest.bytes);
    writer.putString(entry.name);
  }
  return seal(catalogMagic, writer.take());
}

StatusOr<CheckpointCatalog> parseCatalog(std::span<const uint8_t> bytes) {
  StatusOr<std::span<const uint8_t>> body = unseal(bytes, catalogMagic, "checkpoint catalog");
  if (!body)
    return body.status();
  ByteReader reader(*body);
  CheckpointCatalog catalog;
  catalog.nextNumber = reader.get<uint64_t>("next number");
  getList(reader, catalog.entries, 36, "entries", getEntry);
  LLMIR_RETURN_IF_ERROR(finish(reader, "checkpoint catalog"));
  LLMIR_RETURN_IF_ERROR(checkCatalog(catalog).withContext("checkpoint catalog"));
  return catalog;
}

CheckpointFileKind identifyCheckpointFile(std::span<const uint8_t> bytes) {
  return startsWith(bytes, manifestMagic)  ? CheckpointFileKind::Manifest
         : startsWith(bytes, catalogMagic) ? CheckpointFileKind::Catalog
         : startsWith(bytes, packMagic)    ? CheckpointFileKind::Pack
                                           : CheckpointFileKind::Other;
}

std::vector<uint8_t> serializePackHeader(uint64_t number) {
  ByteWriter writer;
  writer.putBytes(asBytes(packMagic));
  writer.put<uint32_t>(formatVersion);
  writer.put<uint32_t>(0);
  writer.put<uint64_t>(number);
  std::vector<uint8_t> header = writer.take();
  header.resize(packHeaderBytes);
  return header;
}

Status checkPack(std::span<const uint8_t> bytes, const CheckpointPack &pack) {
  if (bytes.size() < pack.bytes)
    return dataLoss("expected a file of " + std::to_string(pack.bytes) +
                    " bytes of pages, but it has " + std::to_string(bytes.size()));
  std::vector<uint8_t> header = serializePackHeader(pack.number);
  if (!std::equal(header.begin(), header.end(), bytes.begin()))
    return dataLoss("expected the header of pages " + std::to_string(pack.number) +
                    ", but got another one");
  return Status::ok();
}

} // namespace llmir
