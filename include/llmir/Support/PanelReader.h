// Reads sixteen rows of a checkpoint's floating-point matrix, a group of columns at a time, as the
// quantiser wants them.

#ifndef LLMIR_SUPPORT_PANELREADER_H
#define LLMIR_SUPPORT_PANELREADER_H

#include "llmir/ModelFiles/GGUF.h"
#include "llmir/Support/WeightQuantizer.h"

namespace llmir {

/// Whether readPanelGroup reads tensors of `type`: f32, f16 and bf16.
bool isFloatingPointGGUFType(GGUFType type);

/// Reads the elements `k` to `k + groupSize` of the rows of panel `panel` of `tensor`, a matrix of
/// f32, f16 or bf16. Rows past its end are zero. Returns how many of the panel's rows there are.
int64_t readPanelGroup(const GGUFTensor &tensor, int64_t panel, int64_t k, int64_t groupSize,
                       PanelGroup &group);

} // namespace llmir

#endif // LLMIR_SUPPORT_PANELREADER_H
