// RMS norm of rows: a block for each row, its threads for each so many columns apart. The order of
// the sum depends on the number of columns and the subgroup's size alone. Floor: the bytes of input
// and output.

#include "GPUKernels.h"
#include "KernelLaunch.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

static int64_t threadsFor(const GPUTarget &target, int64_t columns) {
  return std::min<int64_t>(llvm::alignTo(columns, target.subgroupSize), 256);
}

static void emitKernel(GPUKernelBuilder &b, const RMSNormDeviceKernel &kernel,
                       ValueRange arguments) {
  Value input = arguments[0], weight = arguments[1], output = arguments[2];
  Value scratch = b.workgroupBuffer(b.getF32Type(), b.numSubgroups());
  Value columns = b.index(kernel.columns);
  Value row = b.mul(b.blockId(gpu::Dimension::x), columns);
  SmallVector<Value> squares = b.loop(b.threadId(), columns, b.threads(), b.f32(0.0),
                                      [&](Value column, ValueRange carried) -> SmallVector<Value> {
                                        Value x = b.extend(b.load(input, b.add(row, column)));
                                        return {b.fma(x, x, carried[0])};
                                      });
  Value sum = b.reduceBlock(squares, scratch, [&](Value x, Value y) { return b.add(x, y); })[0];
  Value mean = b.div(sum, b.f32(static_cast<double>(kernel.columns)));
  Value scale = b.div(b.f32(1.0), b.squareRoot(b.add(mean, b.f32(kernel.epsilon))));
  b.forMine(columns, [&](Value column) {
    Value at = b.add(row, column);
    Value x = b.mul(b.extend(b.load(input, at)), scale);
    Value result = b.mul(x, b.extend(b.load(weight, column)));
    b.store(b.truncate(result, kernel.element), output, at);
  });
}

func::FuncOp getLaunch(GPUKernelLibrary &library, const RMSNormDeviceKernel &kernel) {
  std::string name = "rms_norm_" + std::to_string(kernel.columns) + "_" +
                     elementName(kernel.element) + "_" + elementName(kernel.weight) + "_" +
                     llvm::utohexstr(llvm::bit_cast<uint32_t>(static_cast<float>(kernel.epsilon)));
  MemRefType rows = library.vectorType(kernel.element);
  SmallVector<Type> types = {rows, library.vectorType(kernel.weight), rows};
  gpu::GPUFuncOp device = library.getOrCreateKernel(
      name, types, threadsFor(library.getTarget(), kernel.columns),
      [&](GPUKernelBuilder &b, ValueRange arguments) { emitKernel(b, kernel, arguments); });
  return library.getOrCreateHostFunction(
      "launch_" + name, types, [&](KernelBuilder &b, ValueRange arguments) {
        Value elements = memref::DimOp::create(b, arguments[0], 0);
        Value count = b.div(elements, b.index(kernel.columns));
        b.ifThen(b.compare(arith::CmpIPredicate::ne, count, b.index(0)), [&] {
          KernelLaunch launch(b);
          Value input = launch.toDevice(arguments[0]), weight = launch.toDevice(arguments[1]);
          Value output = launch.deviceResult(arguments[2]);
          launch.launch(device, {count, b.index(1), b.index(1)}, {input, weight, output});
          launch.finish();
        });
      });
}

} // namespace mlir::llm
