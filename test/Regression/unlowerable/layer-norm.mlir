// RUN: %check_pipelines %s
// A norm that no target has.
llm.weight @w : tensor<64xf32>
func.func @norm(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // error@+2: 'llm.layer_norm' op cannot be lowered outside a step
  // error(gpu,ptx,hsaco)@+1: 'llm.layer_norm' op cannot be lowered to a GPU
  %y = llm.layer_norm %x, @w epsilon(1.0e-5) : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
