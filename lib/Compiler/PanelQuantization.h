// Turns floating-point rows of a checkpoint tensor into panels of codes: the counterpart of
// PanelPacking, which moves bits, for weights that the compiler quantises.

#ifndef LLMIR_LIB_COMPILER_PANELQUANTIZATION_H
#define LLMIR_LIB_COMPILER_PANELQUANTIZATION_H

#include "llmir/Base/Status.h"
#include "llmir/ModelFiles/GGUF.h"
#include "llmir/Support/WeightQuantizer.h"

namespace mlir::llm {

/// Rounds panel `panel` of `tensor`, a matrix of f32, f16 or bf16, in the layout's groups and
/// writes it to `destination`, which has layout.panelBytes() bytes; adds to `error`.
/// InvalidArgument names the tensor and its rows when a weight is not finite or too large.
::llmir::Status quantizePanel(const ::llmir::GGUFTensor &tensor,
                              const ::llmir::PackedLayout &layout, int64_t panel,
                              uint8_t *destination, ::llmir::QuantizationError &error);

} // namespace mlir::llm

#endif // LLMIR_LIB_COMPILER_PANELQUANTIZATION_H
