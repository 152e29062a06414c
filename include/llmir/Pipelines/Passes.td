// Passes that ask all targets at once.

#ifndef LLMIR_PIPELINES_PASSES_TD
#define LLMIR_PIPELINES_PASSES_TD

include "mlir/Pass/PassBase.td"

def CheckLowerablePass : Pass<"llm-check-lowerable", "::mlir::ModuleOp"> {
  let summary = "Check that some target has code for every function";
  let description = [{
    The last pass of llm-optimization-pipeline, which leaves llm IR: what no target can lower is
    refused where its author still sees it, not when code is generated. A step is checked against the
    CPU's form of one, another function that uses the dialect against the CPU's and the GPU's. Where
    neither has code, the CPU's diagnostic is emitted: one error at the op at fault, with what was
    expected and what was found. Weights may still be without places. Counts `functions-checked`.

    Refused, because nothing lowers branches of a cache:
    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv0: !kv, %parents: tensor<2xi32>, %children: tensor<2xi32>) -> !kv {
      %kv1 = llm.fork %kv0, %parents, %children : (!kv, tensor<2xi32>, tensor<2xi32>) -> !kv
      return %kv1 : !kv
    }
    ```
  }];
}

#endif // LLMIR_PIPELINES_PASSES_TD
