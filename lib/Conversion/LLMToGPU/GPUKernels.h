// The kernels and their launches, one generator each: what they compute, what is static in them and
// what the arguments of their launch functions are. A launch function runs on the host; its memrefs
// are the host's but for the pool, which lies where the device reads it.

#ifndef LLMIR_LIB_CONVERSION_LLMTOGPU_GPUKERNELS_H
#define LLMIR_LIB_CONVERSION_LLMTOGPU_GPUKERNELS_H

#include "GPUKernelLibrary.h"

#include "llmir/ABI.h"

namespace mlir::llm {

/// Writes keys and values into their slots; negative slots are skipped. A block is a (token, head),
/// a thread a channel. Launch: keys, values memref<?xT>, pool memref<?xi8>, slots memref<?xi32>,
/// layer (index), then the constant scales memref<?xf32> of keys and of values, where the layout
/// has any.
struct StoreKVDeviceKernel {
  llmir_cache_layout layout;
  Type element; ///< Of keys and values.
};
func::FuncOp getLaunch(GPUKernelLibrary &library, const StoreKVDeviceKernel &kernel);

/// Causal attention over a paged cache. Launch: query memref<?xT>, pool memref<?xi8>, block table
/// memref<?xi32>, entries of a table row (index), context lengths memref<?xi32>, cumulative lengths
/// memref<?xi32>, layer (index), output memref<?xT>, then, each where there is one: constant scales
/// of keys and of values, slopes [heads], sink logits [heads] memref<?xf32>, a tree mask
/// memref<?xi64>, positions memref<?xi32>.
struct AttentionDeviceKernel {
  llmir_cache_layout layout;
  int64_t heads;
  double scale;
  Type element;       ///< Of query and output.
  double softCap = 0; ///< 0: none.
  bool alibiSlopes = false;
  bool sinkLogits = false;
  bool treeMask = false;
  bool positions = false; ///< Else a token's place in the cache is its position.

  int64_t groupSize() const { return heads / layout.num_kv_heads; }
};
func::FuncOp getLaunch(GPUKernelLibrary &library, const AttentionDeviceKernel &kernel);
/// Bytes of workgroup memory that its kernels take at least.
int64_t getWorkgroupBytes(const GPUTarget &target, const AttentionDeviceKernel &kernel);

/// Each row times weight / sqrt(mean of its squares + epsilon). A block is a row. Launch: input
/// memref<?xT>, weight memref<?xU>, output memref<?xT>.
struct RMSNormDeviceKernel {
  int64_t columns;
  double epsilon;
  Type element; ///< Of input and output.
  Type weight;
};
func::FuncOp getLaunch(GPUKernelLibrary &library, const RMSNormDeviceKernel &kernel);

/// `f32`, `f16` or `bf16`, for names of kernels.
std::string elementName(Type element);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOGPU_GPUKERNELS_H
