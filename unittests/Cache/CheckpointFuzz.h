// The entry point of the checkpoint reader's fuzzing: one input is a manifest or a catalog in a
// folder that is otherwise intact. Called by the libFuzzer target and by CheckpointFuzzTest.

#ifndef LLMIR_UNITTESTS_CACHE_CHECKPOINTFUZZ_H
#define LLMIR_UNITTESTS_CACHE_CHECKPOINTFUZZ_H

#include <cstdint>
#include <span>
#include <vector>

namespace llmir {

/// Opens, restores, saves over and cleans up whatever the bytes describe. The first byte's lowest
/// bit says whether the checksum is made to fit first, so that what lies behind it is reached; the
/// rest is the file. Aborts when a promise is broken.
void fuzzCheckpoint(std::span<const uint8_t> input);

/// Intact inputs: manifests (forks, a tree, compressed pages) and a catalog.
std::vector<std::vector<uint8_t>> checkpointFuzzSeeds();

} // namespace llmir

#endif // LLMIR_UNITTESTS_CACHE_CHECKPOINTFUZZ_H
