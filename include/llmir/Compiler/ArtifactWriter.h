// Writes an artifact (docs/Artifact.md): linked code, then the tokenizer, the packed weights and
// the manifest as sections, in one forward pass.

#ifndef LLMIR_COMPILER_ARTIFACTWRITER_H
#define LLMIR_COMPILER_ARTIFACTWRITER_H

#include "llmir/Base/AtomicFile.h"
#include "llmir/Compiler/WeightPacker.h"
#include "llmir/Engine/Manifest.h"
#include <cstdint>
#include <string>
#include <vector>

namespace mlir::llm {

/// What goes into the file beside the code.
struct ArtifactContent {
  /// Complete but for the weights' size and hash.
  ::llmir::Manifest manifest;
  /// A GGUF file without tensors.
  std::vector<uint8_t> tokenizer;
  /// The weights' source; not owned.
  const WeightPacker *weights = nullptr;
};

/// Where and how an artifact is written.
struct ArtifactTarget {
  std::string path;
  ::llmir::FileAccess access = ::llmir::FileAccess::Data;
};

/// Writes `linkedPath` (a shared object or a program) and `content` to the target, beside it at
/// first and under its name when complete; on an error, a full disk or an interrupt (see
/// InterruptGuard) nothing stays. The weights pass through in pieces.
::llmir::Status writeArtifact(const std::string &linkedPath, ArtifactContent content,
                              const ArtifactTarget &target, const WeightPackingOptions &packing);

} // namespace mlir::llm

#endif // LLMIR_COMPILER_ARTIFACTWRITER_H
