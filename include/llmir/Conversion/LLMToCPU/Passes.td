// Passes that turn `llm` ops into CPU code: tile functions in vector, arith, scf and memref, and the
// step that calls them.

#ifndef LLMIR_CONVERSION_LLMTOCPU_PASSES_TD
#define LLMIR_CONVERSION_LLMTOCPU_PASSES_TD

include "mlir/Pass/PassBase.td"

defvar KernelDialects = [
  "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
  "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
  "::mlir::LLVM::LLVMDialect"
];

def FormParallelStepPass : Pass<"llm-form-parallel-step", "::mlir::ModuleOp"> {
  let summary = "Turn a model's step into one parallel region over tile functions";
  let description = [{
    Replaces the function that carries `llm.step` by `llmir_model_step`, which every worker of a team
    runs (llmir/ABI.h). Each op becomes calls of tile functions, of which a worker computes its
    share: one function for each distinct (op, types, static sizes), so that code does not grow with
    depth; runs of calls that differ by constants (weight offsets, layer) become a loop. A barrier
    stands only where a dependence crosses workers. All buffers lie in one workspace whose size is
    affine in the numbers of tokens, rows and workers; the module's attribute `llm.workspace` says
    how. Weights are addressed as base + constant, so packed layouts must have been chosen.

    Before:

    ```mlir
    func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, ...) attributes {llm.step} {
      %x = llm.embedding %tokens, @token_embd.weight : tensor<?xi32> -> tensor<?x576xf32>
      %q, %k, %v = llm.linear %x, @blk.0.attn_qkv.weight norm(@blk.0.attn_norm.weight, 1.0e-5) ...
    ```

    After:

    ```mlir
    func.func @llmir_model_step(%args: !llvm.ptr, %worker: i32, %workers: i32) {
      func.call @embedding_49152x576(%begin, %end, ...)
      call %barrier(%team, %worker)
      scf.for %layer = %c0 to %c30 step %c1 {
        func.call @norm_quantize_576(...)
        func.call @linear_q4_1_i8_960x576(...)
        call %barrier(%team, %worker)
    ```
  }];
  let options = [
    ListOption<"features", "features", "std::string",
      "LLVM names of the features that the code may use; the host's when empty.">
  ];
  let dependentDialects = KernelDialects;
}

def ConvertLLMToCPUPass : Pass<"convert-llm-to-cpu", "::mlir::ModuleOp"> {
  let summary = "Convert functions over KV caches to CPU code and runtime calls";
  let description = [{
    For functions that manage a cache themselves or attend to tensors (every function but a model's
    step, which llm-form-parallel-step takes). Tensors become memrefs, a cache the runtime's handle; the host's
    part of an op (finding blocks) becomes a call of the seam (llmir/ABI.h), the rest a call of the
    same tile functions that a step uses, over all their tiles. Results are allocated, and owned by
    the caller where a function returns them; public functions get a C interface.

    Before:

    ```mlir
    %kv1, %blocks = llm.append_kv %kv0, %k, %v, %seqs {block_size = 16 : i32, max_seq_len = 4096 : i32}
        : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
    ```

    After:

    ```mlir
    %status = llvm.call @llmir_rt_cache_append(%handle, %seqs_ptr, %c2, %c1, %slots_ptr, %blocks_ptr)
    %base = llvm.call @llmir_rt_cache_base(%handle, %layout)
    func.call @store_kv_f16_12_16_64_64_16(%c0, %c2, %keys, %values, %pool, %slots, %layer)
    ```
  }];
  let options = [
    ListOption<"features", "features", "std::string",
      "LLVM names of the features that the code may use; the host's when empty.">,
    Option<"attention", "attention", "::mlir::llm::AttentionTechnique",
      /*default=*/"::mlir::llm::AttentionTechnique::Flash",
      "How dense attention is computed; the others are there to compare with.",
      [{::llvm::cl::values(
        clEnumValN(::mlir::llm::AttentionTechnique::Flash, "flash",
          "tiles of keys, online softmax, masked tiles skipped"),
        clEnumValN(::mlir::llm::AttentionTechnique::FusedSoftmax, "fused-softmax",
          "scores of a block of rows, weights computed in the product with values"),
        clEnumValN(::mlir::llm::AttentionTechnique::Masked, "masked",
          "scores of all rows, masked tiles skipped"),
        clEnumValN(::mlir::llm::AttentionTechnique::SlidingWindow, "sliding-window",
          "scores of a block of rows for the keys of its window"),
        clEnumValN(::mlir::llm::AttentionTechnique::ThreePass, "three-pass",
          "scores of all rows and keys, softmax, product with values"))}]>
  ];
  let dependentDialects = KernelDialects;
}

def EraseWeightsPass : Pass<"llm-erase-weights", "::mlir::ModuleOp"> {
  let summary = "Erase the weight symbols once their addresses are in the code";
  let description = [{
    The last step before LLVM: `llm.weight` ops have told the weight packer what to write; compiled
    code holds their offsets. A weight that is still used is an error.

    ```mlir
    // Before; after: an empty module.
    llm.weight @blk.0.attn_norm.weight offset(0) : tensor<576xf32>
    ```
  }];
}

#endif // LLMIR_CONVERSION_LLMTOCPU_PASSES_TD
