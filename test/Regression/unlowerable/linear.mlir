// RUN: %check_pipelines %s
// A product outside a step, whose weights nobody has placed.
llm.weight @w : tensor<64x64xf16>
func.func @linear(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // error@+2: 'llm.linear' op cannot be lowered outside a step
  // error(gpu,ptx,hsaco)@+1: 'llm.linear' op cannot be lowered to a GPU
  %y = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
