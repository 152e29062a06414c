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
    !kv = !llm.paged_kv_cache<f16, 1, 1, 32, 16, 128>
    module attributes {llm.weights_size = 8448 : i64} {
      llm.weight @embd offset(0) : tensor<32x64xf16>
      llm.weight @norm offset(4096) : tensor<64xf32>
      llm.weight @gate offset(4352) : tensor<32x64xf16>
      func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>,
                      %positions: tensor<?xi32>, %cu_lengths: tensor<?xi32>,
                      %context_lengths: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
                      %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x32xf32>, !kv)
          attributes {llm.step} {
        %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
        %k = llm.linear %x, @gate norm(@norm, 1.0e-5) : (tensor<?x64xf32>) -> tensor<?x1x32xf32>
        %kv1 = llm.store_kv %kv, %k, %k, %slots
            : (!kv, tensor<?x1x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>) -> !kv
        %l = llm.logits %x, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x32xf32>
        return %l, %kv1 : tensor<?x32xf32>, !kv
      }
    }
    ```

    After, in part, with `features=avx2,fma,f16c`:

    ```mlir
    module attributes {... llm.workspace = {fixed = 0 : i64, ...
    func.func private @embedding_32x64...
    func.func @llmir_model_step(%args: !llvm.ptr, %worker: i32, %workers: i32) {
    call @embedding_32x64
    llvm.call %barrier(%team, %worker) : !llvm.ptr, (!llvm.ptr, i32) -> ()
    call @linear_f16
    call @store_kv_f16_1_1_32_32_16(
    call @gather
    call @linear_f16
    ```
  }];
  let options = [
    ListOption<"features", "features", "std::string",
      "LLVM names of the features that the code may use; the host's when empty.">,
    ListOption<"emulate", "emulate", "std::string",
      "LLVM names of features whose schedules are used although the code may not use their "
      "instructions: arithmetic with the same results stands for them.">,
    Option<"profile", "profile", "bool", /*default=*/"false",
      "Adds llmir_model_profile, the same step with a clock around each call, and the table of its "
      "calls.">
  ];
  let dependentDialects = KernelDialects;
}

def ConvertLLMToCPUPass : Pass<"convert-llm-to-cpu", "::mlir::ModuleOp"> {
  let summary = "Convert functions over KV caches to CPU code and runtime calls";
  let description = [{
    For functions that manage a cache themselves or attend to tensors (every function but a model's
    step, which llm-form-parallel-step takes). Tensors become memrefs, a cache the runtime's handle;
    the host's part of an op (finding blocks, making a cache, copying out of it) becomes a call of
    the seam (llmir/ABI.h), the rest a call of the same tile functions that a step uses, over all
    their tiles. Results are allocated, and owned by
    the caller where a function returns them; public functions get a C interface.

    Before:

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @append(%kv0: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>,
                      %seqs: tensor<2xi32>) -> (!kv, tensor<2x1xi32>) {
      %kv1, %blocks = llm.append_kv %kv0, %k, %v, %seqs
          {block_size = 16 : i32, max_seq_len = 4096 : i32}
          : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>)
          -> (!kv, tensor<2x1xi32>)
      return %kv1, %blocks : !kv, tensor<2x1xi32>
    }
    ```

    After, in part, with `features=avx2,fma,f16c`:

    ```mlir
    llvm.func @llmir_rt_cache_append(!llvm.ptr, !llvm.ptr, i64, i64, !llvm.ptr, !llvm.ptr) -> i32
    func.func @append(%kv: !llvm.ptr, %k: memref<2x1x16x64xf16>, %v: memref<2x1x16x64xf16>, %seqs: memref<2xi32>) -> (!llvm.ptr, memref<2x1xi32>)
    %blocks = memref.alloc() : memref<2x1xi32>
    llvm.call @llmir_rt_cache_append(%kv, ...
    %base = llvm.call @llmir_rt_cache_base(%kv, ...
    %is_there = llvm.icmp "ne" %base, ...
    scf.if %is_there {
    func.call @store_kv_f16_12_16_64_64_16(...
    return %kv, %blocks : !llvm.ptr, memref<2x1xi32>
    func.func private @store_kv_f16_12_16_64_64_16(...
    ```
  }];
  let options = [
    ListOption<"features", "features", "std::string",
      "LLVM names of the features that the code may use; the host's when empty.">,
    ListOption<"emulate", "emulate", "std::string",
      "LLVM names of features whose schedules are used although the code may not use their "
      "instructions: arithmetic with the same results stands for them.">,
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

    Before:

    ```mlir
    llm.weight @blk.0.attn_norm.weight offset(0) : tensor<576xf32>
    func.func private @llmir_model_step(!llvm.ptr, i32, i32)
    ```

    After:

    ```mlir
    func.func private @llmir_model_step(!llvm.ptr, i32, i32)
    ```

    Refused:

    ```mlir
    llm.weight @norm offset(0) : tensor<64xf32>
    func.func @still_used(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %y = llm.rms_norm %x, @norm epsilon(0.0) : tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
}

#endif // LLMIR_CONVERSION_LLMTOCPU_PASSES_TD
