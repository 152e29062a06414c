// Turns rows of a checkpoint tensor into the panels of docs/PackedWeights.md. Pure functions over
// bytes: the tensor's shape and type have been checked by WeightPacker.

#ifndef LLMIR_LIB_COMPILER_PANELPACKING_H
#define LLMIR_LIB_COMPILER_PANELPACKING_H

#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"
#include "llmir/ModelFiles/GGUF.h"
#include "llmir/Support/PackedLayout.h"

#include <vector>

namespace mlir::llm {

/// The checkpoint type that is packed as `format`.
::llmir::GGUFType getCheckpointType(::llmir::PackedFormat format);

/// Rows 16 * panel and on of `part` of the matrix `tensor`, at most 16, as a tensor over `storage`,
/// into which they are copied. The part divides the rows, or cuts the columns between blocks.
::llmir::GGUFTensor cutPanel(const ::llmir::GGUFTensor &tensor, const SourcePart &part,
                             int64_t panel, std::vector<uint8_t> &storage);

/// The elements of `part` of the vector `tensor`, over its own memory.
::llmir::GGUFTensor cutVector(const ::llmir::GGUFTensor &tensor, const SourcePart &part);

/// Writes panel `panel` of `tensor` (rows 16 * panel and on; rows past its end are zero) to
/// `destination`, which has layout.panelBytes() bytes. `layout` gives the format and the columns.
void packPanel(const ::llmir::GGUFTensor &tensor, const ::llmir::PackedLayout &layout,
               int64_t panel, uint8_t *destination);

/// Decodes the vector `tensor` to f32 at `destination`; the caller has zeroed the padding.
::llmir::Status packVector(const ::llmir::GGUFTensor &tensor, uint8_t *destination);

} // namespace mlir::llm

#endif // LLMIR_LIB_COMPILER_PANELPACKING_H
