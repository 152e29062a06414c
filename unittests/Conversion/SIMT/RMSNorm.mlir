// Norms of one column, of fewer and more columns than a block has threads.
llm.weight @norm_weight_1 : tensor<1xf32>
llm.weight @norm_weight_20 : tensor<20xf32>
llm.weight @norm_weight_576 : tensor<576xf32>

func.func @rms_norm_1(%x: tensor<?x1xf32>) -> tensor<?x1xf32> {
  %y = llm.rms_norm %x, @norm_weight_1 epsilon(1.0e-5) : tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}
func.func @rms_norm_20(%x: tensor<?x20xf32>) -> tensor<?x20xf32> {
  %y = llm.rms_norm %x, @norm_weight_20 epsilon(1.0e-5) : tensor<?x20xf32>
  return %y : tensor<?x20xf32>
}
func.func @rms_norm_576(%x: tensor<?x576xf32>) -> tensor<?x576xf32> {
  %y = llm.rms_norm %x, @norm_weight_576 epsilon(1.0e-5) : tensor<?x576xf32>
  return %y : tensor<?x576xf32>
}
