// A pass whose example is not true: check_examples.py must fail.

def CheckCacheUsesPass : Pass<"llm-check-cache-uses"> {
  let description = [{
    It consumes nothing.

    Refused, it says:
    ```mlir
    llm.weight @norm : tensor<64xf32>
    ```
  }];
}
