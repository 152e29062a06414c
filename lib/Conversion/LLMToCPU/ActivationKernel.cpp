// The prologue of matrix ops: gather, RMS norm, rounding, quantisation. Floor: the rows' bytes,
// read twice and written once; for one token it stays in the first-level cache.

#include "Kernels.h"

#include "mlir/Dialect/Math/IR/Math.h"

namespace mlir::llm {

using ::llmir::kGroupSize;

QuantizedRows QuantizedRows::get(MLIRContext *context, int64_t cols) {
  Builder builder(context);
  auto rows = [](Type element, int64_t count) {
    int64_t perLine = 512 / element.getIntOrFloatBitWidth();
    return KernelLibrary::rowsType(element, count, (count + perLine - 1) / perLine * perLine);
  };
  int64_t groups = cols / kGroupSize;
  return {rows(builder.getI8Type(), cols), rows(builder.getF32Type(), 2 * groups),
          rows(builder.getI32Type(), groups)};
}

namespace {
class ActivationEmitter {
public:
  ActivationEmitter(KernelBuilder &builder, const ActivationKernel &kernel, ValueRange arguments)
      : b(builder), kernel(kernel), cols(kernel.input.getDimSize(1)) {
    auto next = arguments.begin();
    begin = *next++;
    end = *next++;
    if (kernel.gather)
      rows = *next++;
    input = *next++;
    if (kernel.epsilon) {
      weights = *next++;
      normOffset = *next++;
    }
    outputs.assign(next, arguments.end());
  }

  void emit() {
    b.loop(begin, end, 1, [&](Value token) {
      Value row = rows ? b.toIndex(b.load(rows, token)) : token;
      Value norm = kernel.epsilon ? emitInverseRootMeanSquare(row) : Value();
      if (kernel.kind == ActivationType::I8)
        emitQuantized(token, row, norm);
      else
        emitPlain(token, row, norm);
    });
  }

private:
  /// 1 / sqrt(mean(x^2) + epsilon): sums of 16 interleaved parts, halved; then the odd end.
  Value emitInverseRootMeanSquare(Value row) {
    constexpr int64_t kLanes = 16;
    int64_t whole = cols / kLanes * kLanes;
    SmallVector<Value> partial = b.loop(b.index(0), b.index(whole), kLanes, b.splatF32(0.0, kLanes),
                                        [&](Value k, ValueRange carried) -> SmallVector<Value> {
                                          Value x = b.loadVector(input, {row, k}, kLanes);
                                          return {b.fma(x, x, carried[0])};
                                        });
    Value sum = b.sumLanes(partial[0]);
    for (int64_t k = whole; k < cols; ++k) {
      Value x = b.load(input, {row, b.index(k)});
      sum = b.fma(x, x, sum);
    }
    Value mean = b.mul(sum, b.f32(1.0 / static_cast<double>(cols)));
    Value root = math::SqrtOp::create(b, b.add(mean, b.f32(*kernel.epsilon)));
    return b.div(b.f32(1.0), root);
  }

  /// `count` features from k, normalised.
  Value loadInput(Value row, Value k, Value norm, int64_t count) {
    Value x = b.loadVector(input, {row, k}, count);
    if (!norm)
      return x;
    Value offset = b.add(normOffset, b.mul(k, b.index(4)));
    Value weight = b.loadBytes(weights, offset, b.getF32Type(), count);
    return b.mul(b.mul(x, b.broadcast(norm, count)), weight);
  }

  void emitPlain(Value token, Value row, Value norm) {
    constexpr int64_t kLanes = 16;
    bool isNarrow = kernel.output.getElementType().isBF16();
    auto copy = [&](Value k, int64_t count) {
      Value x = loadInput(row, k, norm, count);
      if (kernel.kind == ActivationType::BF16)
        x = b.truncate(x, b.getBF16Type());
      if (!isNarrow)
        x = b.extend(x);
      b.storeVector(x, outputs[0], {token, k});
    };
    int64_t whole = cols / kLanes * kLanes;
    b.loop(b.index(0), b.index(whole), kLanes, [&](Value k) { copy(k, kLanes); });
    for (int64_t k = whole; k < cols; ++k)
      copy(b.index(k), 1);
    if (isNarrow && cols % 2 != 0) {
      Value zero = b.truncate(b.f32(0.0), b.getBF16Type());
      b.store(zero, outputs[0], {token, b.index(cols)});
    }
  }

  void emitQuantized(Value token, Value row, Value norm) {
    int64_t groups = cols / kGroupSize;
    b.loop(b.index(0), b.index(groups), 1, [&](Value group) {
      Value k = b.mul(group, b.index(kGroupSize));
      Value x = loadInput(row, k, norm, kGroupSize);
      Value largest = b.maxLanes(math::AbsFOp::create(b, x));
      Value scale = b.mul(largest, b.f32(1.0 / 127.0));
      Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, largest, b.f32(1.0e-30));
      Value inverse = b.select(isZero, b.f32(0.0), b.div(b.f32(127.0), largest));
      Value scaled = b.mul(x, b.broadcast(inverse, kGroupSize));
      VectorType ints = b.vectorOf(b.getI32Type(), kGroupSize);
      Value rounded = arith::FPToSIOp::create(b, ints, math::RoundEvenOp::create(b, scaled));
      VectorType bytes = b.vectorOf(b.getI8Type(), kGroupSize);
      b.storeVector(arith::TruncIOp::create(b, bytes, rounded), outputs[0], {token, k});
      Value sum = b.sumLanes(rounded);
      b.store(scale, outputs[1], {token, group});
      Value scaledSum = b.mul(scale, arith::SIToFPOp::create(b, b.getF32Type(), sum));
      b.store(scaledSum, outputs[1], {token, b.add(group, b.index(groups))});
      b.store(sum, outputs[2], {token, group});
    });
  }

  KernelBuilder &b;
  const ActivationKernel &kernel;
  int64_t cols;
  Value begin, end, rows, input, weights, normOffset;
  SmallVector<Value> outputs;
};
} // namespace

func::FuncOp getKernel(KernelLibrary &library, const ActivationKernel &kernel) {
  MLIRContext *context = library.context();
  SmallVector<Type> types(2, library.indexType());
  if (kernel.gather)
    types.push_back(library.vectorType(IntegerType::get(context, 32)));
  types.push_back(kernel.input);
  if (kernel.epsilon)
    types.append({library.bytesType(), library.indexType()});
  int64_t cols = kernel.input.getDimSize(1);
  std::string name = kernel.kind == ActivationType::I8         ? "quantize"
                     : kernel.kind != ActivationType::BF16     ? "copy"
                     : kernel.output.getElementType().isBF16() ? "narrow"
                                                               : "round";
  if (kernel.kind == ActivationType::I8) {
    QuantizedRows quantized = QuantizedRows::get(context, cols);
    types.append({quantized.codes, quantized.scales, quantized.sums});
  } else {
    types.push_back(kernel.output);
  }
  if (kernel.epsilon)
    name = (kernel.kind == ActivationType::F32 ? "norm" : "norm_" + name) + "_" +
           llvm::utohexstr(llvm::bit_cast<uint64_t>(*kernel.epsilon));
  if (kernel.gather)
    name = "gather_" + name;
  return library.getOrCreate(name + "_" + std::to_string(cols), types,
                             [&](KernelBuilder &builder, ValueRange arguments) {
                               ActivationEmitter(builder, kernel, arguments).emit();
                             });
}

} // namespace mlir::llm
