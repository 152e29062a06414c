// What must hold in a manifest or catalog that was read from a file, beyond its checksum: every
// index in range, every length fitting its blocks, nothing named twice.

#ifndef LLMIR_LIB_CACHE_CHECKPOINTCHECKS_H
#define LLMIR_LIB_CACHE_CHECKPOINTCHECKS_H

#include "llmir/Cache/CheckpointFormat.h"

#include <string_view>

namespace llmir {

/// DataLoss with the first thing that does not fit.
Status checkManifest(const CheckpointManifest &manifest);
Status checkCatalog(const CheckpointCatalog &catalog);

/// InvalidArgument unless `name` can name a checkpoint: 1 to 255 bytes without control characters.
Status checkCheckpointName(std::string_view name);

} // namespace llmir

#endif // LLMIR_LIB_CACHE_CHECKPOINTCHECKS_H
