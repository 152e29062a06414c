// The primitives of units in plain arithmetic: see EmulatedUnits.h. Bytes are multiplied in 32
// bits, where nothing saturates, as in the instructions. The operations on bf16 are those of the
// Intel SDM (VDPBF16PS, TDPBF16PS): fma with subnormals taken as zeros, results that are subnormal
// made zeros, rounding to nearest even.

#include "EmulatedUnits.h"

#include "mlir/Dialect/Math/IR/Math.h"

namespace mlir::llm {

/// Calls the function called `name`, with the lanes of its result in it.
static Value callUnit(KernelBuilder &b, KernelLibrary &library, StringRef name,
                      ValueRange arguments, KernelLibrary::ValueBody body) {
  auto type = cast<VectorType>(arguments.front().getType());
  func::FuncOp function =
      library.getOrCreate(("emulated_" + name + "_" + Twine(type.getDimSize(0))).str(),
                          arguments.getTypes(), {type}, body);
  return func::CallOp::create(b, function, arguments).getResult(0);
}

Value emulateByteDots(KernelBuilder &builder, KernelLibrary &library, Value sums,
                      Value unsignedBytes, Value signedBytes) {
  auto ints = cast<VectorType>(sums.getType());
  return callUnit(builder, library, "byte_dots",
                  {sums, builder.bitcast(unsignedBytes, ints), builder.bitcast(signedBytes, ints)},
                  [&](KernelBuilder &b, ValueRange arguments) -> SmallVector<Value> {
                    Value result = arguments[0], top = b.splatInt(24, ints);
                    for (int64_t byte = 0; byte < 4; ++byte) {
                      Value up = b.splatInt(24 - 8 * byte, ints);
                      auto shift = [&](Value word) { return arith::ShLIOp::create(b, word, up); };
                      Value left = arith::ShRUIOp::create(b, shift(arguments[1]), top);
                      Value right = arith::ShRSIOp::create(b, shift(arguments[2]), top);
                      result = b.add(result, b.mul(left, right));
                    }
                    return {result};
                  });
}

//===--- Pairs of bf16 ----------------------------------------------------------------------===//

namespace {
/// f32 arithmetic on vectors in which subnormal numbers are zeros.
class FlushingMath {
public:
  FlushingMath(KernelBuilder &builder, int64_t lanes)
      : b(builder), lanes(lanes), ints(builder.vectorOf(builder.getI32Type(), lanes)),
        floats(builder.vectorOf(builder.getF32Type(), lanes)) {}

  /// The first or the second elements of pairs in i32, as f32.
  Value element(Value pairs, int64_t index) {
    Value bits = index == 0 ? arith::ShLIOp::create(b, pairs, b.splatInt(16, ints)).getResult()
                            : arith::AndIOp::create(b, pairs, b.splatInt(-65536, ints));
    return flush(b.bitcast(bits, floats));
  }

  /// A subnormal number becomes a zero of its sign.
  Value flush(Value x) {
    Value isSmall = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, math::AbsFOp::create(b, x),
                                          b.splatF32(0x1p-126, lanes));
    return b.select(isSmall, signedZero(x), x);
  }

  /// x * y + sum for flushed operands. Whether the result is subnormal is decided after rounding to
  /// 24 bits of any exponent: the exact sum, which f64 holds where it matters, is below the middle
  /// between the least normal number and the 24-bit number before it.
  Value fma(Value x, Value y, Value sum) {
    VectorType doubles = b.vectorOf(b.getF64Type(), lanes);
    auto widen = [&](Value value) { return arith::ExtFOp::create(b, doubles, value); };
    Value exact = b.add(b.mul(widen(x), widen(y)), widen(sum));
    Value limit =
        arith::ConstantOp::create(b, DenseElementsAttr::get(doubles, 0x1p-126 - 0x1p-151));
    Value isSmall =
        arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, math::AbsFOp::create(b, exact), limit);
    Value result = b.fma(x, y, sum);
    return b.select(isSmall, signedZero(result), result);
  }

private:
  Value signedZero(Value x) {
    Value sign = arith::AndIOp::create(b, b.bitcast(x, ints), b.splatInt(INT32_MIN, ints));
    return b.bitcast(sign, floats);
  }

  KernelBuilder &b;
  int64_t lanes;
  VectorType ints, floats;
};
} // namespace

Value emulatePairDots(KernelBuilder &builder, KernelLibrary &library, Value sums, Value left,
                      Value right) {
  int64_t lanes = cast<VectorType>(sums.getType()).getDimSize(0);
  return callUnit(builder, library, "pair_dots", {sums, left, right},
                  [&](KernelBuilder &b, ValueRange arguments) -> SmallVector<Value> {
                    FlushingMath math(b, lanes);
                    Value result = math.flush(arguments[0]);
                    for (int64_t index : {1, 0})
                      result = math.fma(math.element(arguments[1], index),
                                        math.element(arguments[2], index), result);
                    return {result};
                  });
}

//===--- Tiles ------------------------------------------------------------------------------===//

/// What a row of sums becomes: `words` gives vectors of 16 words of both operands, and how many.
using AddWords = llvm::function_ref<Value(
    KernelBuilder &b, Value row, Value count,
    llvm::function_ref<std::pair<Value, Value>(KernelBuilder &, Value)> words)>;

/// Calls a function of the unit's name and the operands' types that goes over the rows of a tile.
static void callTile(KernelBuilder &builder, KernelLibrary &library, StringRef name,
                     const EmulatedTile &tile, AddWords addWords) {
  constexpr int64_t kLanes = 16;
  SmallVector<Value> operands = {tile.sums,
                                 tile.first,
                                 tile.left,
                                 tile.leftRow,
                                 tile.leftColumn,
                                 tile.right,
                                 tile.rightOffset,
                                 builder.index(tile.rows),
                                 builder.index(tile.words)};
  Type element = cast<MemRefType>(tile.left.getType()).getElementType();
  int64_t perWord = 32 / element.getIntOrFloatBitWidth();
  auto body = [&](KernelBuilder &b, ValueRange arguments) -> SmallVector<Value> {
    Value sums = arguments[0], left = arguments[2], right = arguments[5];
    b.loop(b.index(0), arguments[7], 1, [&](Value row) {
      Value at = b.add(arguments[1], row);
      auto words = [&](KernelBuilder &b, Value word) -> std::pair<Value, Value> {
        Value column = b.add(arguments[4], b.mul(word, b.index(perWord)));
        Value one = b.loadVector(left, {b.add(arguments[3], row), column}, perWord);
        one = b.firstLane(b.bitcast(one, b.vectorOf(b.getI32Type(), 1)));
        Value offset = b.add(arguments[6], b.mul(word, b.index(64)));
        return {b.broadcast(one, kLanes), b.loadBytes(right, offset, b.getI32Type(), kLanes)};
      };
      Value sum = b.loadVector(sums, {at, b.index(0)}, kLanes);
      b.storeVector(addWords(b, sum, arguments[8], words), sums, {at, b.index(0)});
    });
    return {};
  };
  func::FuncOp function =
      library.getOrCreate(("emulated_" + name).str(), ValueRange(operands).getTypes(), {}, body);
  func::CallOp::create(builder, function, operands);
}

void emulateByteTile(KernelBuilder &builder, KernelLibrary &library, const EmulatedTile &tile) {
  callTile(builder, library, "byte_tile", tile,
           [](KernelBuilder &b, Value sum, Value count, auto words) {
             auto ints = cast<VectorType>(sum.getType());
             return b.loop(b.index(0), count, 1, sum, [&](Value word, ValueRange carried) {
               auto [left, right] = words(b, word);
               Value result = carried[0];
               for (int64_t byte = 0; byte < 4; ++byte) {
                 Value up = b.splatInt(24 - 8 * byte, ints);
                 auto extract = [&](Value value) {
                   Value raised = arith::ShLIOp::create(b, value, up);
                   return arith::ShRSIOp::create(b, raised, b.splatInt(24, ints)).getResult();
                 };
                 result = b.add(result, b.mul(extract(left), extract(right)));
               }
               return SmallVector<Value>{result};
             })[0];
           });
}

void emulatePairTile(KernelBuilder &builder, KernelLibrary &library, const EmulatedTile &tile) {
  callTile(builder, library, "pair_tile", tile,
           [](KernelBuilder &b, Value sum, Value count, auto words) {
             int64_t lanes = cast<VectorType>(sum.getType()).getDimSize(0);
             FlushingMath math(b, lanes);
             SmallVector<Value> zeros(2, b.splatF32(0.0, lanes));
             SmallVector<Value> both =
                 b.loop(b.index(0), count, 1, zeros, [&](Value word, ValueRange carried) {
                   auto [left, right] = words(b, word);
                   SmallVector<Value> results;
                   for (int64_t index : {0, 1})
                     results.push_back(math.fma(math.element(left, index),
                                                math.element(right, index), carried[index]));
                   return results;
                 });
             Value product = math.flush(b.add(both[0], both[1]));
             return math.flush(b.add(math.flush(sum), product));
           });
}

} // namespace mlir::llm
