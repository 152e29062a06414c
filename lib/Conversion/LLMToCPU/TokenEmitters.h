// The bodies of tile functions over tokens that are also parts of fused ones: what they compute for
// one token, in the builder's block.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_TOKENEMITTERS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_TOKENEMITTERS_H

#include "Kernels.h"

namespace mlir::llm {

/// Rows that RopeKernel takes.
struct RotationArguments {
  Value table, input, output;
};
/// Heads from `first` to before `last`.
struct HeadRange {
  Value first, last;
};

/// Rotates heads of a token.
void emitRotation(KernelBuilder &b, const RopeKernel &kernel, const RotationArguments &arguments,
                  Value token, const HeadRange &heads);

/// What StoreKVKernel takes.
struct StoreKVArguments {
  Value keys, values, base, slots, layer;
  ValueRange scales;
};
/// Writes the keys and values of a token's KV heads into its slot, if it has one.
void emitStoreKV(KernelBuilder &b, const llmir_cache_layout &layout,
                 const StoreKVArguments &arguments, Value token, const HeadRange &heads);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_TOKENEMITTERS_H
