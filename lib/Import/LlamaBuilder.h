// The builder of the Llama family: pre-norm decoder layers with grouped-query attention, rotary
// embedding and a SwiGLU feed-forward network.

#ifndef LLMIR_LIB_IMPORT_LLAMABUILDER_H
#define LLMIR_LIB_IMPORT_LLAMABUILDER_H

#include "CheckpointReader.h"

#include "llmir/Import/GGUFImport.h"

namespace mlir::llm {

/// Builds the step of a checkpoint of architecture `llama`.
FailureOr<OwningOpRef<ModuleOp>> buildLlama(CheckpointReader &reader, const ImportOptions &options);

} // namespace mlir::llm

#endif // LLMIR_LIB_IMPORT_LLAMABUILDER_H
