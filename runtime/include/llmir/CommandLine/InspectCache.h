// `llmir inspect cache`: what is in a checkpoint of a KV cache or in a dump of a live one, as text,
// JSON or a picture.

#ifndef LLMIR_COMMANDLINE_INSPECTCACHE_H
#define LLMIR_COMMANDLINE_INSPECTCACHE_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/CacheDump.h"
#include "llmir/Cache/CheckpointFormat.h"

#include <optional>
#include <string>

namespace CLI {
class App;
} // namespace CLI

namespace llmir {

struct InspectCacheOptions {
  std::string path; ///< A manifest, a catalog, a folder of checkpoints, or a JSON dump.
  std::optional<std::string> svgFile;
  bool printsJSON = false;
};

/// Declares the options on `app`, which writes them into `options` when it parses.
void addInspectCacheOptions(CLI::App &app, InspectCacheOptions &options);

/// Runs the command; returns the exit code.
int inspectCache(const InspectCacheOptions &options);

/// A checkpoint, as a table for people.
std::string describeCheckpoint(const CheckpointManifest &manifest);
/// The same as a line of JSON; `cache` is the dump of docs/CacheDump.md.
std::string describeCheckpointAsJSON(const CheckpointManifest &manifest);
/// The checkpoints of a folder, as a table for people.
std::string describeCatalog(const CheckpointCatalog &catalog);
std::string describeCatalogAsJSON(const CheckpointCatalog &catalog);
/// How the blocks of a pool are used, as a table for people.
std::string describeCacheDump(const CacheDump &dump);

} // namespace llmir

#endif // LLMIR_COMMANDLINE_INSPECTCACHE_H
