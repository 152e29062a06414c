// Elementwise ops of rows that no matrix op took in: sums and SwiGLU. Floor: three rows' bytes.

#include "Kernels.h"

namespace mlir::llm {

func::FuncOp getKernel(KernelLibrary &library, const ElementwiseKernel &kernel) {
  Type index = library.indexType();
  bool isAdd = kernel.kind == ElementwiseKind::Add;
  int64_t cols = kernel.output.getDimSize(1);
  return library.getOrCreate(
      (isAdd ? "add_" : "swiglu_") + std::to_string(cols),
      {index, index, kernel.left, kernel.right, kernel.output},
      [&](KernelBuilder &b, ValueRange arguments) {
        constexpr int64_t kLanes = 8;
        auto compute = [&](Value token, Value k, int64_t lanes) {
          Value left = b.loadVector(arguments[2], {token, k}, lanes);
          Value right = b.loadVector(arguments[3], {token, k}, lanes);
          Value result = isAdd ? b.add(left, right) : b.mul(b.silu(left), right);
          b.storeVector(result, arguments[4], {token, k});
        };
        int64_t whole = cols / kLanes * kLanes;
        b.loop(arguments[0], arguments[1], 1, [&](Value token) {
          b.loop(b.index(0), b.index(whole), kLanes, [&](Value k) { compute(token, k, kLanes); });
          for (int64_t k = whole; k < cols; ++k)
            compute(token, b.index(k), 1);
        });
      });
}

} // namespace mlir::llm
