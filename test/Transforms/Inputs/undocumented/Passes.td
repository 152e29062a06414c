// A pass whose description has no example: check_examples.py must fail.

def FoldNormsPass : Pass<"llm-fold-norms"> {
  let description = [{
    An example that says nothing of before and after does not count.

    ```mlir
    llm.weight @norm : tensor<64xf32>
    ```
  }];
}
