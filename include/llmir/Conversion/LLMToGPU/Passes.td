// The pass that turns `llm` ops into GPU kernels and their launches.

#ifndef LLMIR_CONVERSION_LLMTOGPU_PASSES_TD
#define LLMIR_CONVERSION_LLMTOGPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertLLMToGPUPass : Pass<"convert-llm-to-gpu", "::mlir::ModuleOp"> {
  let summary = "Convert functions over KV caches to GPU kernels, launches and runtime calls";
  let description = [{
    For functions that manage a cache themselves, as convert-llm-to-cpu. Tensors become memrefs of
    the host, a cache the runtime's handle, whose blocks lie where the device reads them; finding
    blocks is a call of the seam (llmir/ABI.h). The rest of an op is a `gpu.func` in the module
    `llm_kernels`, one for each distinct (op, types, static sizes), and a host function `launch_…`
    that copies what the kernel reads to the device, launches it, and copies the result back. A
    weight becomes an external global of its name.

    Attention has windows and sinks, soft caps, ALiBi, learned sinks, tree masks and positions; caches have every
    storage type, layout and granularity of scales: reading one dequantises, storing quantises by the
    rule of docs/CacheLayout.md. What has no kernel is one error at the op: other ops of the dialect,
    buffers, unknown numbers of heads or channels, steps.

    Kernels are written for what the options describe, not for a vendor: the same `gpu.func` becomes
    PTX, HSACO (llmir-translate) or CPU code (convert-gpu-to-simt).

    Before:

    ```mlir
    %kv1, %blocks = llm.append_kv %kv0, %k, %v, %seqs {block_size = 16 : i32, max_seq_len = 4096 : i32}
        : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
    ```

    After:

    ```mlir
      %status = llvm.call @llmir_rt_cache_append(%handle, %seqs_ptr, %c2, %c1, %slots_ptr, %blocks_ptr)
      %base = llvm.call @llmir_rt_cache_base(%handle, %layout)
      func.call @launch_store_kv_f16_12_16_64_64_16_f16(%keys, %values, %pool, %slots, %layer)
    ...
    func.func private @launch_store_kv_f16_12_16_64_64_16_f16(...) {
      %device_keys = gpu.alloc (%size) : memref<?xf16>
      gpu.memcpy %device_keys, %keys : memref<?xf16>, memref<?xf16>
      gpu.launch_func @llm_kernels::@store_kv_f16_12_16_64_64_16_f16 blocks in (%tokens, %c16, %c1)
          threads in (%c64, %c1, %c1) args(%device_keys : memref<?xf16>, ...)
    ```
  }];
  let options = [
    Option<"subgroupSize", "subgroup-size", "int64_t", "32",
      "Threads that run in step and can shuffle: 32 or 64.">,
    Option<"workgroupMemory", "workgroup-memory", "int64_t", "49152",
      "Bytes of workgroup memory that a block may use.">,
    Option<"splitTokens", "split-tokens", "int64_t", "1024",
      "Keys that one block of a decoding kernel attends to; a multiple of 128.">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::gpu::GPUDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"
  ];
}

#endif // LLMIR_CONVERSION_LLMTOGPU_PASSES_TD
