// From a GGUF checkpoint to `llm` IR: one ragged `step` function over weights that the module names
// but does not hold. Reading the file format is the runtime's (llmir/ModelFiles/GGUF.h).

#ifndef LLMIR_IMPORT_GGUFIMPORT_H
#define LLMIR_IMPORT_GGUFIMPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <cstdint>
#include <optional>

namespace llmir {
class GGUFFile;
} // namespace llmir

namespace mlir::llm {

/// Element type of the imported model's KV cache.
enum class KVElementType { F32, F16, BF16, F8E4M3FN, F8E5M2, I8, I4 };

/// What an import decides beside what the checkpoint says.
struct ImportOptions {
  KVElementType kvElementType = KVElementType::F16;
  /// Tokens a block of the KV cache.
  int64_t blockSize = 16;
  /// Tokens that a sequence may have; absent: the context length that the checkpoint says.
  std::optional<int64_t> maxSequenceLength;
  /// The step takes tree masks (llmir_step_args.tree_mask), so that drafts may be trees. A step
  /// without does not read them.
  bool takesTreeMasks = false;
};

/// Imports the model in `file` as a module with `llm.weight` symbols and one function `step` (the
/// attribute `llm.step` marks it). The module verifies. A checkpoint of an unsupported
/// architecture, with a missing, malformed or surplus tensor, or with inconsistent metadata gives a
/// diagnostic that names the file and the field, and a null module.
OwningOpRef<ModuleOp> importGGUF(MLIRContext *context, const ::llmir::GGUFFile &file,
                                 const ImportOptions &options);

/// Registers `--import-gguf` and its options with mlir-translate's registry. Call once, before the
/// command line is parsed.
void registerImportGGUFTranslation();

} // namespace mlir::llm

#endif // LLMIR_IMPORT_GGUFIMPORT_H
