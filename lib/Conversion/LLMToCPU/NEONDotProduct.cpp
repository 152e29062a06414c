// Byte dot products of AArch64: signed by signed, so that no code is biased but those of Q4_0.
//
// Every AArch64 has smull (8 products of 16 bits) and sadalp (neighbours added to 32 bits). Two
// products of eight-bit codes (2 * 128 * 127 = 32512) and all eight of four-bit ones (8 * 15 * 127
// = 15240) fit 16 bits, so sadalp comes once for two vectors of codes, or once a group. sdot adds
// the four products of each lane. smmla multiplies two rows of 8 codes by two tokens' 8: two
// vectors of a panel (4 rows by 4 k each) are zipped to two of 2 rows by 8 k, which serve all pairs
// of tokens, and the 2 x 2 results are taken apart once a group. For fewer than four tokens zipping
// costs more than smmla saves over sdot.
//
// An emulated unit keeps its schedule; see EmulatedUnits.h. Integer sums are exact, so the results
// are equal. SVE is emulated as sdot on 128 bits; the unit itself is in ScalableSums.cpp.

#include "NEONDotProduct.h"

#include "EmulatedUnits.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

using ::llmir::PackedFormat;

namespace {
class NEONDotEmitter {
public:
  NEONDotEmitter(KernelBuilder &builder, KernelLibrary &library, const GroupDot &dot)
      : b(builder), library(library), target(library.target()), dot(dot),
        isFourBit(dot.format != PackedFormat::Q8_0), bytes(b.vectorOf(b.getI8Type(), 16)),
        words(b.vectorOf(b.getI16Type(), 8)), ints(b.vectorOf(b.getI32Type(), 4)) {}

  SmallVector<Value> emit() {
    codes = loadQuads();
    switch (target.dotUnit) {
    case DotUnit::NEONI8MM:
      return dot.tokens >= kMatrixTokens ? emitMatrix() : emitDot();
    case DotUnit::NEONDot:
    case DotUnit::SVE:
      return emitDot();
    default:
      return emitWidening();
    }
  }

private:
  static constexpr int64_t kQuads = 8;
  static constexpr int64_t kMatrixTokens = 4;

  /// The codes of the group's quads: 4 rows by 4 k each.
  SmallVector<Value> loadQuads() {
    SmallVector<Value> quads;
    for (int64_t vector = 0; vector < (isFourBit ? kQuads / 2 : kQuads); ++vector) {
      Value offset = b.add(dot.codeOffset, b.index(vector * 64));
      Value loaded = b.loadBytes(dot.weights, offset, b.getI8Type(), 16);
      if (!isFourBit) {
        quads.push_back(loaded);
        continue;
      }
      quads.push_back(arith::AndIOp::create(b, loaded, b.splatInt(15, bytes)));
      quads.push_back(arith::ShRUIOp::create(b, loaded, b.splatInt(4, bytes)));
    }
    return quads;
  }

  /// A token's four codes of a quad in every lane: a lane of a register as an operand of sdot.
  Value activation(int64_t token, int64_t quad) {
    Value quads = b.bitcast(dot.activationHalf(token, quad / 4), ints);
    return b.bitcast(shuffle(quads, quads, SmallVector<int64_t>(4, quad % 4)), bytes);
  }
  /// Codes of quads `quad` and `quad` + 1 of a token and of the next.
  Value activationPair(int64_t token, int64_t quad) {
    VectorType pairs = b.vectorOf(b.getI64Type(), 2);
    Value first = b.bitcast(dot.activationHalf(token, quad / 4), pairs);
    Value second = b.bitcast(dot.activationHalf(token + 1, quad / 4), pairs);
    int64_t lane = quad % 4 / 2;
    return b.bitcast(shuffle(first, second, {lane, lane + 2}), bytes);
  }

  /// What the sums of `token` start at.
  Value biasTerm(int64_t token) {
    int64_t bias = groupBias(dot.format, target);
    if (bias == 0)
      return b.splatInt(0, ints);
    return b.broadcast(b.mul(dot.activationSum(token), b.i32(-bias)), 4);
  }

  Value shuffle(Value left, Value right, ArrayRef<int64_t> lanes) {
    return vector::ShuffleOp::create(b, left, right, lanes);
  }

  //===--- smull and sadalp -----------------------------------------------------------------===//

  /// Eight products of bytes from `from` on.
  Value multiplyHalf(Value left, Value right, int64_t from) {
    auto half = [&](Value vector) {
      return arith::ExtSIOp::create(b, words, b.slice(vector, from, 8)).getResult();
    };
    return b.mul(half(left), half(right));
  }

  /// Sums of neighbours, widened.
  Value addNeighbours(Value products) {
    if (!target.isEmulated)
      return b.intrinsic("llvm.aarch64.neon.saddlp.v4i32.v8i16", ints, {products});
    auto every = [&](ArrayRef<int64_t> lanes) {
      return arith::ExtSIOp::create(b, ints, shuffle(products, products, lanes)).getResult();
    };
    return b.add(every({0, 2, 4, 6}), every({1, 3, 5, 7}));
  }

  SmallVector<Value> emitWidening() {
    int64_t quadsOfSum = isFourBit ? kQuads : 2;
    SmallVector<Value> results;
    for (int64_t token = 0; token < dot.tokens; ++token) {
      Value sums[2] = {}; // Pairs of k of rows 0 and 1, of rows 2 and 3.
      for (int64_t first = 0; first < kQuads; first += quadsOfSum) {
        for (int64_t half = 0; half < 2; ++half) {
          Value products;
          for (int64_t quad = first; quad < first + quadsOfSum; ++quad) {
            Value more = multiplyHalf(codes[quad], activation(token, quad), 8 * half);
            products = products ? b.add(products, more) : more;
          }
          Value pairs = addNeighbours(products);
          sums[half] = sums[half] ? b.add(sums[half], pairs) : pairs;
        }
      }
      Value even = shuffle(sums[0], sums[1], {0, 2, 4, 6});
      Value odd = shuffle(sums[0], sums[1], {1, 3, 5, 7});
      results.push_back(b.add(b.add(even, odd), biasTerm(token)));
    }
    return results;
  }

  //===--- sdot -----------------------------------------------------------------------------===//

  /// `sums` plus the products of the four bytes of every lane.
  Value addProducts(Value sums, Value left, Value right) {
    if (target.isEmulated)
      return emulateSignedByteDots(b, library, sums, left, right);
    return b.intrinsic("llvm.aarch64.neon.sdot.v4i32.v16i8", ints, {sums, left, right});
  }

  SmallVector<Value> emitDot() {
    SmallVector<Value> results;
    for (int64_t token = 0; token < dot.tokens; ++token) {
      Value sum = biasTerm(token);
      for (int64_t quad = 0; quad < kQuads; ++quad)
        sum = addProducts(sum, codes[quad], activation(token, quad));
      results.push_back(sum);
    }
    return results;
  }

  //===--- smmla ----------------------------------------------------------------------------===//

  /// `sums` [row][token] plus the products of two rows' and two tokens' 8 codes.
  Value addMatrix(Value sums, Value rows, Value tokens) {
    if (!target.isEmulated)
      return b.intrinsic("llvm.aarch64.neon.smmla.v4i32.v16i8", ints, {sums, rows, tokens});
    auto lanesOf = [&](Value vector, ArrayRef<int64_t> lanes) {
      Value quads = b.bitcast(vector, ints);
      return b.bitcast(shuffle(quads, quads, lanes), bytes);
    };
    // A row's or a token's 8 codes are two lanes.
    sums = addProducts(sums, lanesOf(rows, {0, 0, 2, 2}), lanesOf(tokens, {0, 2, 0, 2}));
    return addProducts(sums, lanesOf(rows, {1, 1, 3, 3}), lanesOf(tokens, {1, 3, 1, 3}));
  }

  SmallVector<Value> emitMatrix() {
    SmallVector<Value> results(dot.tokens);
    int64_t pairs = dot.tokens / 2;
    SmallVector<std::array<Value, 2>> sums(pairs);
    for (int64_t pair = 0; pair < pairs; ++pair)
      sums[pair].fill(b.splatInt(0, ints));
    for (int64_t quad = 0; quad < kQuads; quad += 2) {
      Value first = b.bitcast(codes[quad], ints), second = b.bitcast(codes[quad + 1], ints);
      Value rows[2] = {b.bitcast(shuffle(first, second, {0, 4, 1, 5}), bytes),
                       b.bitcast(shuffle(first, second, {2, 6, 3, 7}), bytes)};
      for (int64_t pair = 0; pair < pairs; ++pair) {
        Value tokens = activationPair(2 * pair, quad);
        for (int64_t half = 0; half < 2; ++half)
          sums[pair][half] = addMatrix(sums[pair][half], rows[half], tokens);
      }
    }
    for (int64_t pair = 0; pair < pairs; ++pair)
      for (int64_t of = 0; of < 2; ++of) {
        int64_t token = 2 * pair + of;
        Value ofToken = shuffle(sums[pair][0], sums[pair][1], {of, 2 + of, 4 + of, 6 + of});
        results[token] = b.add(ofToken, biasTerm(token));
      }
    return results;
  }

  KernelBuilder &b;
  KernelLibrary &library;
  const CPUTarget &target;
  const GroupDot &dot;
  bool isFourBit;
  VectorType bytes, words, ints;
  SmallVector<Value> codes;
};
} // namespace

SmallVector<Value> emitNEONGroupDot(KernelBuilder &builder, KernelLibrary &library,
                                    const GroupDot &dot) {
  return NEONDotEmitter(builder, library, dot).emit();
}

} // namespace mlir::llm
