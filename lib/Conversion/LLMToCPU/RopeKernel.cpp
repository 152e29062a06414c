// Rotary embedding: a table of cosines and sines for each step, and the rotation of heads by it.
// Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding".

#include "Kernels.h"
#include "TokenEmitters.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <cmath>

namespace mlir::llm {

func::FuncOp getKernel(KernelLibrary &library, const RopeTableKernel &kernel) {
  MLIRContext *context = library.context();
  SmallVector<Type> types(2, library.indexType());
  types.push_back(library.vectorType(IntegerType::get(context, 32)));
  if (kernel.factors)
    types.append({library.bytesType(), library.indexType()});
  types.push_back(kernel.table);
  std::string name = "rope_table_" + std::to_string(kernel.rotaryDim) + "_" +
                     llvm::utohexstr(llvm::bit_cast<uint64_t>(kernel.theta)) +
                     (kernel.factors ? "_factors" : "");
  std::string frequencies;
  if (!kernel.frequencies.empty()) {
    frequencies = library.getOrCreateConstant("rope_frequencies", kernel.frequencies);
    name += "_" + frequencies + "_" + llvm::utohexstr(llvm::bit_cast<uint64_t>(kernel.magnitude));
  }
  return library.getOrCreate(name, types, [&](KernelBuilder &b, ValueRange arguments) {
    Value table = arguments.back();
    int64_t pairs = kernel.rotaryDim / 2;
    Type f64 = b.getF64Type();
    auto constant = [&](double value) -> Value {
      return arith::ConstantOp::create(b, b.getF64FloatAttr(value));
    };
    // The frequency of pair i is theta^(-2i / rotary dimensions): a power table unrolled would cost
    // code, so it is built by repeated exp2 of a linear exponent.
    double slope = -2.0 * std::log2(kernel.theta) / static_cast<double>(kernel.rotaryDim);
    b.loop(arguments[0], arguments[1], 1, [&](Value token) {
      Value position = arith::SIToFPOp::create(b, f64, b.load(arguments[2], token));
      b.loop(b.index(0), b.index(pairs), 1, [&](Value pair) {
        Value frequency;
        if (frequencies.empty()) {
          Value exponent = arith::SIToFPOp::create(b, f64, b.toI32(pair));
          frequency = math::Exp2Op::create(b, b.mul(exponent, constant(slope)));
        } else {
          Value numbers =
              memref::GetGlobalOp::create(b, MemRefType::get({pairs}, f64), frequencies);
          frequency = b.load(numbers, pair);
        }
        if (kernel.factors) {
          Value offset = b.add(arguments[4], b.mul(pair, b.index(4)));
          Value factor =
              vector::ExtractOp::create(b, b.loadBytes(arguments[3], offset, b.getF32Type(), 1), 0);
          frequency = b.div(frequency, arith::ExtFOp::create(b, f64, factor));
        }
        Value angle = b.mul(position, frequency);
        Value cosine = math::CosOp::create(b, angle), sine = math::SinOp::create(b, angle);
        if (kernel.magnitude != 1.0) {
          cosine = b.mul(cosine, constant(kernel.magnitude));
          sine = b.mul(sine, constant(kernel.magnitude));
        }
        cosine = arith::TruncFOp::create(b, b.getF32Type(), cosine);
        sine = arith::TruncFOp::create(b, b.getF32Type(), sine);
        b.store(cosine, table, {token, pair});
        b.store(sine, table, {token, b.add(pair, b.index(pairs))});
      });
    });
  });
}

namespace {
class RopeEmitter {
public:
  RopeEmitter(KernelBuilder &builder, const RopeKernel &kernel, Value table, Value input,
              Value output)
      : b(builder), kernel(kernel), table(table), input(input), output(output) {}

  void emit(Value token, const HeadRange &heads) {
    b.loop(heads.first, heads.last, 1,
           [&](Value head) { emitHead(token, b.mul(head, b.index(kernel.headDim))); });
  }

private:
  void emitHead(Value token, Value column) {
    constexpr int64_t kLanes = 8;
    int64_t pairs = kernel.rotaryDim / 2;
    int64_t whole = pairs / kLanes * kLanes;
    b.loop(b.index(0), b.index(whole), kLanes,
           [&](Value pair) { emitPairs(token, column, pair, kLanes); });
    for (int64_t pair = whole; pair < pairs; ++pair)
      emitPairs(token, column, b.index(pair), 1);
    for (int64_t d = kernel.rotaryDim; d < kernel.headDim; ++d) {
      Value at = b.add(column, b.index(d));
      b.store(b.load(input, {token, at}), output, {token, at});
    }
  }

  void emitPairs(Value token, Value column, Value pair, int64_t lanes) {
    int64_t pairs = kernel.rotaryDim / 2;
    Value cosine = b.loadVector(table, {token, pair}, lanes);
    Value sine = b.loadVector(table, {token, b.add(pair, b.index(pairs))}, lanes);
    auto rotate = [&](Value x, Value y) -> std::pair<Value, Value> {
      Value first = b.sub(b.mul(x, cosine), b.mul(y, sine));
      return {first, b.add(b.mul(x, sine), b.mul(y, cosine))};
    };
    if (kernel.interleaved) {
      Value at = b.add(column, b.mul(pair, b.index(2)));
      Value both = b.loadVector(input, {token, at}, 2 * lanes);
      auto split = vector::DeinterleaveOp::create(b, both);
      auto [x, y] = rotate(split.getResult(0), split.getResult(1));
      b.storeVector(vector::InterleaveOp::create(b, x, y), output, {token, at});
      return;
    }
    Value low = b.add(column, pair);
    Value high = b.add(low, b.index(pairs));
    auto [x, y] =
        rotate(b.loadVector(input, {token, low}, lanes), b.loadVector(input, {token, high}, lanes));
    b.storeVector(x, output, {token, low});
    b.storeVector(y, output, {token, high});
  }

  KernelBuilder &b;
  const RopeKernel &kernel;
  Value table, input, output;
};
} // namespace

std::string RopeKernel::name() const {
  return std::string(interleaved ? "interleaved_" : "half_") + std::to_string(heads) + "x" +
         std::to_string(headDim) + "_" + std::to_string(rotaryDim);
}

func::FuncOp getKernel(KernelLibrary &library, const RopeKernel &kernel) {
  Type index = library.indexType();
  return library.getOrCreate(
      "rope_" + kernel.name(), {index, index, kernel.table, kernel.input, kernel.output},
      [&](KernelBuilder &b, ValueRange arguments) {
        RopeEmitter emitter(b, kernel, arguments[2], arguments[3], arguments[4]);
        HeadRange heads{b.index(0), b.index(kernel.heads)};
        b.loop(arguments[0], arguments[1], 1, [&](Value token) { emitter.emit(token, heads); });
      });
}

void emitRotation(KernelBuilder &b, const RopeKernel &kernel, const RotationArguments &arguments,
                  Value token, const HeadRange &heads) {
  RopeEmitter(b, kernel, arguments.table, arguments.input, arguments.output).emit(token, heads);
}

} // namespace mlir::llm
