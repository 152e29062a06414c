// Prints a checkpoint, a folder of checkpoints or a dump of a pool, and draws them.

#include "llmir/CommandLine/InspectCache.h"

#include "llmir/Base/AtomicFile.h"
#include "llmir/Base/MappedFile.h"
#include "llmir/CommandLine/Terminal.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace llmir {

using Json = nlohmann::ordered_json;

void addInspectCacheOptions(CLI::App &app, InspectCacheOptions &options) {
  app.add_option("file", options.path,
                 "A checkpoint's .manifest, a folder of checkpoints or its catalog, or the JSON "
                 "dump of a pool")
      ->required()
      ->type_name("FILE");
  app.add_flag("--json", options.printsJSON, "Print one line of JSON");
  app.add_option("--svg", options.svgFile, "Draw the blocks, their owners and the tree into OUT")
      ->type_name("OUT");
}

static void appendField(std::string &text, const char *name, const std::string &value) {
  std::string padded = name;
  padded.resize(22, ' ');
  text += "  " + padded + value + "\n";
}

static std::string formatTime(int64_t nanoseconds) {
  std::time_t seconds = nanoseconds / 1000000000;
  std::tm parts = {};
  char text[64];
  if (!gmtime_r(&seconds, &parts) || std::strftime(text, sizeof text, "%F %T UTC", &parts) == 0)
    return std::to_string(nanoseconds) + " ns since 1970";
  return text;
}

static std::string describeLayout(const CacheDump::Layout &layout) {
  return std::to_string(layout.numLayers) + " layers, " + std::to_string(layout.numKVHeads) +
         " KV heads, keys " + std::to_string(layout.keyHeadDim) + " x " + layout.keyType +
         ", values " + std::to_string(layout.valueHeadDim) + " x " + layout.valueType +
         ", blocks of " + std::to_string(layout.blockSize) + " tokens and " +
         std::to_string(layout.blockBytes) + " bytes, up to " + std::to_string(layout.maxSeqLen) +
         " tokens a sequence";
}

/// The sequences, those with most blocks first.
static std::string describeSequences(const CacheDump &dump) {
  constexpr size_t most = 20;
  std::vector<const CacheDump::Sequence *> order;
  for (const CacheDump::Sequence &sequence : dump.sequences)
    order.push_back(&sequence);
  std::sort(order.begin(), order.end(),
            [](const CacheDump::Sequence *a, const CacheDump::Sequence *b) {
              return std::pair(b->blocks.size(), a->id) < std::pair(a->blocks.size(), b->id);
            });
  std::string text = "\nsequences\n";
  for (size_t i = 0; i < order.size() && i < most; ++i) {
    int64_t shared = 0;
    for (int32_t block : order[i]->blocks)
      shared += dump.blocks[static_cast<size_t>(block)].owners > 1;
    std::optional<int64_t> oldest = dump.oldestBlock(*order[i]);
    appendField(text, std::to_string(order[i]->id).c_str(),
                std::to_string(order[i]->length) + " tokens, " +
                    std::to_string(order[i]->blocks.size()) + " blocks, " + std::to_string(shared) +
                    " of them shared" +
                    (oldest ? ", oldest own of age " + std::to_string(*oldest) : std::string()));
  }
  if (order.size() > most)
    text += "  and " + std::to_string(order.size() - most) + " with fewer blocks\n";
  return text;
}

static std::string describeUse(const CacheDump &dump) {
  CacheDump::Counts counts = dump.counts();
  std::string text;
  auto total = static_cast<int64_t>(dump.blocks.size());
  auto append = [&](const char *name, int64_t blocks) {
    char value[64];
    std::snprintf(value, sizeof value, "%lld (%.1f %%)", static_cast<long long>(blocks),
                  total == 0 ? 0 : 100 * static_cast<double>(blocks) / static_cast<double>(total));
    appendField(text, name, value);
  };
  appendField(text, "blocks", std::to_string(total));
  append("  of one sequence", counts.ofOneSequence);
  append("  shared", counts.shared);
  append("  of the tree alone", counts.ofTreeAlone);
  append("  of others", counts.ofOthers);
  append("  free", counts.free);
  if (std::optional<CacheDump::Ages> ages = dump.ages())
    appendField(text, "age of blocks in use",
                "median " + std::to_string(ages->median) + ", oldest " +
                    std::to_string(ages->oldest) + " allocations; " +
                    std::to_string(ages->pastOneTurn) + " of " + std::to_string(ages->blocks) +
                    " held while the pool handed out all its blocks once");
  appendField(text, "slack", std::to_string(counts.slackTokens) + " tokens");
  appendField(text, "prefix tree", std::to_string(dump.tree.size()) + " blocks");
  return text;
}

std::string describeCacheDump(const CacheDump &dump) {
  std::string text = dump.source + "\n";
  appendField(text, "cache", describeLayout(dump.layout));
  text += describeUse(dump);
  if (dump.statistics)
    appendField(text, "hit rate",
                std::to_string(dump.statistics->tokensMatched) + " of " +
                    std::to_string(dump.statistics->tokensAsked) + " tokens in " +
                    std::to_string(dump.statistics->matches) + " look-ups, " +
                    std::to_string(dump.statistics->blocksEvicted) + " blocks evicted");
  return text + describeSequences(dump);
}

namespace {
/// How the pages of a checkpoint are stored.
struct PageTotals {
  uint64_t stored = 0, decoded = 0;
  size_t compressed = 0;
};
} // namespace

static PageTotals totalPages(const CheckpointManifest &manifest) {
  PageTotals totals;
  for (const CheckpointPage &page : manifest.pages) {
    totals.stored += page.storedBytes;
    totals.decoded += static_cast<uint64_t>(manifest.layout.block_stride);
    totals.compressed += page.encoding == PageEncoding::Zstd;
  }
  return totals;
}

std::string describeCheckpoint(const CheckpointManifest &manifest) {
  CacheDump dump = dumpCheckpoint(manifest);
  PageTotals totals = totalPages(manifest);
  std::string text = "checkpoint '" + manifest.name + "'\n";
  appendField(text, "number", std::to_string(manifest.number));
  if (manifest.numParts > 1)
    appendField(text, "part",
                std::to_string(manifest.part) + " of " + std::to_string(manifest.numParts));
  appendField(text, "created", formatTime(manifest.createdNanoseconds));
  appendField(text, "model", manifest.model.empty() ? "none" : manifest.model);
  appendField(text, "cache", describeLayout(dump.layout));
  appendField(text, "constant scales",
              std::to_string(manifest.keyScales.size()) + " of keys, " +
                  std::to_string(manifest.valueScales.size()) + " of values");
  appendField(text, "pages",
              std::to_string(manifest.pages.size()) + ", " + std::to_string(totals.compressed) +
                  " of them compressed; " + std::to_string(totals.stored) + " bytes for " +
                  std::to_string(totals.decoded));
  for (const CheckpointPack &pack : manifest.packs)
    appendField(text, "  in pack", std::to_string(pack.number));
  return text + describeUse(dump) + describeSequences(dump);
}

std::string describeCheckpointAsJSON(const CheckpointManifest &manifest) {
  PageTotals totals = totalPages(manifest);
  Json json;
  json["kind"] = "checkpoint";
  json["name"] = manifest.name;
  json["number"] = manifest.number;
  json["part"] = manifest.part;
  json["parts"] = manifest.numParts;
  json["created_nanoseconds"] = manifest.createdNanoseconds;
  json["model"] = manifest.model;
  json["pages"] = {{"count", manifest.pages.size()},
                   {"compressed", totals.compressed},
                   {"stored_bytes", totals.stored},
                   {"decoded_bytes", totals.decoded}};
  Json &packs = json["packs"] = Json::array();
  for (const CheckpointPack &pack : manifest.packs)
    packs.push_back(pack.number);
  json["cache"] = Json::parse(toJson(dumpCheckpoint(manifest)), nullptr, false);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string describeCatalog(const CheckpointCatalog &catalog) {
  auto count = std::count_if(catalog.entries.begin(), catalog.entries.end(),
                             [](const CatalogEntry &entry) { return entry.part == 0; });
  std::string text = "catalog of " + std::to_string(count) + " checkpoints, oldest first\n";
  for (const CatalogEntry &entry : catalog.entries)
    appendField(text, std::to_string(entry.number).c_str(),
                entry.name + (entry.part == 0 ? "" : ", part " + std::to_string(entry.part)) +
                    "  (manifest " + toString(entry.manifest) + ")");
  return text;
}

std::string describeCatalogAsJSON(const CheckpointCatalog &catalog) {
  Json json;
  json["kind"] = "checkpoint catalog";
  json["next_number"] = catalog.nextNumber;
  Json &entries = json["checkpoints"] = Json::array();
  for (const CatalogEntry &entry : catalog.entries)
    entries.push_back(
        {{"number", entry.number}, {"name", entry.name}, {"manifest", toString(entry.manifest)}});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

static Status writePicture(const InspectCacheOptions &options, const CacheDump &dump) {
  if (!options.svgFile)
    return Status::ok();
  StatusOr<AtomicFile> file = AtomicFile::create(*options.svgFile);
  if (!file)
    return file.status();
  LLMIR_RETURN_IF_ERROR(file->write(toSvg(dump)));
  return file->commit();
}

static Status inspectCheckpoint(const InspectCacheOptions &options, std::span<const uint8_t> bytes,
                                OutputStream &output) {
  StatusOr<CheckpointManifest> manifest = parseManifest(bytes);
  if (!manifest)
    return manifest.status().withContext(options.path);
  LLMIR_RETURN_IF_ERROR(writePicture(options, dumpCheckpoint(*manifest)));
  return output.write(options.printsJSON ? describeCheckpointAsJSON(*manifest)
                                         : options.path + ": " + describeCheckpoint(*manifest));
}

static Status inspectCatalog(const InspectCacheOptions &options, std::span<const uint8_t> bytes,
                             OutputStream &output) {
  if (options.svgFile)
    return invalidArgument(options.path + ": --svg needs a checkpoint or a dump, not a catalog");
  StatusOr<CheckpointCatalog> catalog = parseCatalog(bytes);
  if (!catalog)
    return catalog.status().withContext(options.path);
  return output.write(options.printsJSON ? describeCatalogAsJSON(*catalog)
                                         : options.path + ": " + describeCatalog(*catalog));
}

static Status inspectDump(const InspectCacheOptions &options, std::span<const uint8_t> bytes,
                          OutputStream &output) {
  StatusOr<CacheDump> dump =
      parseCacheDump({reinterpret_cast<const char *>(bytes.data()), bytes.size()});
  if (!dump)
    return dump.status().withContext(options.path);
  LLMIR_RETURN_IF_ERROR(writePicture(options, *dump));
  return output.write(options.printsJSON ? toJson(*dump)
                                         : options.path + ": " + describeCacheDump(*dump));
}

static Status inspectCacheFile(const InspectCacheOptions &options) {
  std::error_code error;
  std::string path = options.path;
  if (std::filesystem::is_directory(path, error))
    path += "/catalog";
  StatusOr<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.status();
  OutputStream output(STDOUT_FILENO);
  std::span<const uint8_t> bytes = file->bytes();
  switch (identifyCheckpointFile(bytes)) {
  case CheckpointFileKind::Manifest:
    return inspectCheckpoint(options, bytes, output);
  case CheckpointFileKind::Catalog:
    return inspectCatalog(options, bytes, output);
  case CheckpointFileKind::Pack:
    return invalidArgument(path + ": these are pages; the .manifest beside them says of what");
  case CheckpointFileKind::Other:
    break;
  }
  if (!bytes.empty() && bytes[0] == '{')
    return inspectDump(options, bytes, output);
  return invalidArgument(path + ": expected a checkpoint's manifest or catalog or the JSON dump of "
                                "a pool, but the file starts like none");
}

int inspectCache(const InspectCacheOptions &options) {
  SignalScope signals;
  Status status = inspectCacheFile(options);
  if (SignalScope::wasInterrupted())
    return ExitInterrupted;
  return status ? ExitSuccess : reportError(status);
}

} // namespace llmir
