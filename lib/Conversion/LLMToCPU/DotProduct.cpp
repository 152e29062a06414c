// Byte dot products by unit.
//
// AVX2 has vpmaddubsw (unsigned times signed bytes, pairs added with saturation to 16 bits) and
// vpmaddwd. Four-bit codes are at most 15 and activations within 127, so all eight products of a
// lane's group (8 * 15 * 127 * 2 = 30480) fit 16 bits and are widened once. Eight-bit codes move
// their sign to the activation: 128 * 127 * 2 = 32512 fits as well, but only once.
// VNNI multiplies unsigned by signed bytes into 32 bits: eight-bit codes are biased by 128.
//
// An emulated unit keeps its vectors and their order; see EmulatedUnits.h.

#include "DotProduct.h"

#include "EmulatedUnits.h"

#include "mlir/Dialect/Math/IR/Math.h"

namespace mlir::llm {

using ::llmir::PackedFormat;

static bool hasVNNI(const CPUTarget &target) { return target.dotUnit != DotUnit::AVX2; }

int64_t groupBias(PackedFormat format, const CPUTarget &target) {
  if (format == PackedFormat::Q4_0)
    return 8;
  return format == PackedFormat::Q8_0 && hasVNNI(target) ? 128 : 0;
}

namespace {
class GroupDotEmitter {
public:
  GroupDotEmitter(KernelBuilder &builder, KernelLibrary &library, const GroupDot &dot)
      : b(builder), library(library), target(library.target()), dot(dot), lanes(target.lanes),
        bytes(builder.vectorOf(builder.getI8Type(), 4 * lanes)),
        words(builder.vectorOf(builder.getI16Type(), 2 * lanes)),
        ints(builder.vectorOf(builder.getI32Type(), lanes)) {}

  SmallVector<Value> emit() {
    bool fourBit = dot.format != PackedFormat::Q8_0;
    if (hasVNNI(target))
      return emitVNNI(fourBit);
    return fourBit ? emitFourBitAVX2() : emitEightBitAVX2();
  }

private:
  Value loadCodes(int64_t vector) {
    Value offset = b.add(dot.codeOffset, b.index(vector * 64));
    return b.loadBytes(dot.weights, offset, b.getI8Type(), 4 * lanes);
  }
  /// The low and the high nibbles of `codes`.
  std::pair<Value, Value> splitNibbles(Value codes) {
    Value mask = b.splatInt(0x0f, bytes);
    Value low = arith::AndIOp::create(b, codes, mask);
    Value wide = b.bitcast(codes, ints);
    wide = arith::ShRUIOp::create(b, wide, b.splatInt(4, ints));
    return {low, arith::AndIOp::create(b, b.bitcast(wide, bytes), mask)};
  }
  Value biasTerm(int64_t token) {
    int64_t bias = groupBias(dot.format, target);
    if (bias == 0)
      return b.splatInt(0, ints);
    Value sum = b.mul(dot.activationSum(token), b.i32(-bias));
    return b.broadcast(sum, lanes);
  }
  Value multiplyPairs(Value unsignedBytes, Value signedBytes) {
    return b.intrinsic("llvm.x86.avx2.pmadd.ub.sw", words, {unsignedBytes, signedBytes});
  }
  Value widen(Value pairs) {
    return b.intrinsic("llvm.x86.avx2.pmadd.wd", ints, {pairs, b.splatInt(1, words)});
  }

  /// `sums` plus the four products of unsigned and signed bytes in each lane.
  Value multiplyQuads(Value sums, Value unsignedBytes, Value signedBytes) {
    if (!target.isEmulated) {
      StringRef name = target.dotUnit == DotUnit::AVX512VNNI ? "llvm.x86.avx512.vpdpbusd.512"
                                                             : "llvm.x86.avx512.vpdpbusd.256";
      return b.intrinsic(name, ints, {sums, unsignedBytes, signedBytes});
    }
    return emulateByteDots(b, library, sums, unsignedBytes, signedBytes);
  }

  SmallVector<Value> emitFourBitAVX2() {
    SmallVector<Value> pairs(dot.tokens);
    for (int64_t vector = 0; vector < 4; ++vector) {
      auto [low, high] = splitNibbles(loadCodes(vector));
      for (int64_t token = 0; token < dot.tokens; ++token) {
        Value first = multiplyPairs(low, dot.activation(token, 2 * vector));
        Value second = multiplyPairs(high, dot.activation(token, 2 * vector + 1));
        Value both = b.add(first, second);
        pairs[token] = pairs[token] ? b.add(pairs[token], both) : both;
      }
    }
    SmallVector<Value> results;
    for (int64_t token = 0; token < dot.tokens; ++token) {
      Value sum = widen(pairs[token]);
      results.push_back(groupBias(dot.format, target) ? b.add(sum, biasTerm(token)) : sum);
    }
    return results;
  }

  SmallVector<Value> emitEightBitAVX2() {
    SmallVector<Value> results(dot.tokens);
    for (int64_t quad = 0; quad < 8; ++quad) {
      Value codes = loadCodes(quad);
      Value magnitude = math::AbsIOp::create(b, codes);
      for (int64_t token = 0; token < dot.tokens; ++token) {
        Value signedActivation =
            b.intrinsic("llvm.x86.avx2.psign.b", bytes, {dot.activation(token, quad), codes});
        Value sum = widen(multiplyPairs(magnitude, signedActivation));
        results[token] = results[token] ? b.add(results[token], sum) : sum;
      }
    }
    return results;
  }

  SmallVector<Value> emitVNNI(bool fourBit) {
    SmallVector<Value> results;
    for (int64_t token = 0; token < dot.tokens; ++token)
      results.push_back(biasTerm(token));
    auto accumulate = [&](Value unsignedCodes, int64_t quad) {
      for (int64_t token = 0; token < dot.tokens; ++token)
        results[token] = multiplyQuads(results[token], unsignedCodes, dot.activation(token, quad));
    };
    for (int64_t vector = 0; vector < (fourBit ? 4 : 8); ++vector) {
      Value codes = loadCodes(vector);
      if (fourBit) {
        auto [low, high] = splitNibbles(codes);
        accumulate(low, 2 * vector);
        accumulate(high, 2 * vector + 1);
      } else {
        accumulate(arith::XOrIOp::create(b, codes, b.splatInt(-128, bytes)), vector);
      }
    }
    return results;
  }

  KernelBuilder &b;
  KernelLibrary &library;
  const CPUTarget &target;
  const GroupDot &dot;
  int64_t lanes;
  VectorType bytes, words, ints;
};
} // namespace

SmallVector<Value> emitGroupDot(KernelBuilder &builder, KernelLibrary &library,
                                const GroupDot &dot) {
  return GroupDotEmitter(builder, library, dot).emit();
}

} // namespace mlir::llm
