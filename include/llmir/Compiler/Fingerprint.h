// The fingerprint of an artifact: a SHA-256 of everything that its bytes depend on.

#ifndef LLMIR_COMPILER_FINGERPRINT_H
#define LLMIR_COMPILER_FINGERPRINT_H

#include "llmir/Base/Status.h"
#include "llmir/ModelFiles/GGUF.h"
#include "llvm/ADT/ArrayRef.h"
#include <string>

namespace mlir::llm {

/// The SHA-256, 64 hex digits, of the metadata and all tensors of `file` (names, types, shapes,
/// bytes) and of `settings`: the compiler's version, its options and the target. Every part is
/// preceded by its length, so that different lists never read the same. Reads the whole file.
::llmir::StatusOr<std::string> computeFingerprint(const ::llmir::GGUFFile &file,
                                                  llvm::ArrayRef<std::string> settings);

} // namespace mlir::llm

#endif // LLMIR_COMPILER_FINGERPRINT_H
