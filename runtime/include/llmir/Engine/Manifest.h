// Manifest: what an artifact says about itself (docs/Artifact.md), as a struct, with strict reading
// from JSON and writing to it. It does not check the host; LoadedModel does.

#ifndef LLMIR_ENGINE_MANIFEST_H
#define LLMIR_ENGINE_MANIFEST_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/CacheLayout.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace llmir {

/// Bytes of workspace that a step needs, as an affine function of its sizes.
struct WorkspaceContract {
  int64_t fixed = 0;
  int64_t perToken = 0;
  int64_t perSequence = 0;
  int64_t perRow = 0;
  int64_t perWorker = 0;

  int64_t bytes(int64_t tokens, int64_t sequences, int64_t rows, int64_t workers) const {
    return fixed + perToken * tokens + perSequence * sequences + perRow * rows +
           perWorker * workers;
  }
};

/// One of several forms of a model's code, for hosts with different features.
struct ModelVersion {
  std::string level;  ///< As the compiler calls the features: `avx2`, `avx512_vnni`.
  std::string symbol; ///< Of its step.
  std::vector<std::string> features;
  WorkspaceContract workspace;
};

/// The fields of `.llmir.manifest`.
struct Manifest {
  /// The version of the table in docs/Artifact.md.
  static constexpr int64_t formatVersion = 1;

  int64_t format = formatVersion;
  int64_t abiVersion = 0;
  std::string compiler;
  std::string name;
  std::string architecture;
  std::string fingerprint;
  std::string targetTriple;
  std::vector<std::string> targetFeatures; ///< Of the version that asks for the fewest.
  std::map<std::string, std::string> options;
  int64_t vocabularySize = 0;
  int64_t maxSequenceLength = 0;
  WorkspaceContract workspace;
  /// The best first; empty when there is but one, with the usual symbol.
  std::vector<ModelVersion> versions;
  std::vector<CacheParameters> caches;
  int64_t weightBytes = 0;
  std::string weightHash;    ///< xxh3_128 of the weights section, 32 hex digits, high word first.
  int64_t bytesPerToken = 0; ///< Weight bytes that a step of one token and one row reads.
  int64_t rank = 0;          ///< Which part of a model that is divided among `worldSize` ranks.
  int64_t worldSize = 1;
};

/// Reads a manifest. DataLoss for text that is not JSON or a field that is missing or of the wrong
/// kind (named, with what was expected); FailedPrecondition for another format version. Fields that
/// are not known are ignored.
StatusOr<Manifest> parseManifest(std::string_view json);

/// The manifest as JSON, indented, ending in a newline; parseManifest reads it back.
std::string formatManifest(const Manifest &manifest);

} // namespace llmir

#endif // LLMIR_ENGINE_MANIFEST_H
