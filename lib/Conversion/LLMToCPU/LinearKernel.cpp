// Matrix products over packed panels.
//
// A tile is a panel of 16 rows (or a gate and an up panel). Up to two tokens meet all vectors of a
// panel at once, three and four each vector alone, so that what is loaded serves all of them and
// the sums stay in registers; more tokens go by fours. Of many tokens, as many as half of a
// second-level cache holds meet some panels that stay in the first-level one. Every output is
// summed in the same order for any number of tokens: int8 exactly within a group, then group by
// group by fma; floats in two chains (even and odd k) that are added at the end.

#include "DotProduct.h"
#include "Kernels.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

using ::llmir::kGroupSize;
using ::llmir::kPanelRows;
using ::llmir::PackedFormat;
using ::llmir::PackedLayout;

namespace {
/// Some rows of a panel for some tokens: vectors [half * tokens + token].
struct Part {
  Value panel;       ///< Byte offset of the panel.
  int64_t firstHalf; ///< First vector of the panel's 16 rows.
  int64_t halves;
  Value token; ///< First token.
  int64_t tokens;
};

class LinearEmitter {
public:
  LinearEmitter(KernelBuilder &builder, const CPUTarget &target, const LinearKernel &kernel,
                ValueRange arguments)
      : b(builder), target(target), kernel(kernel), layout(kernel.layout), lanes(target.lanes) {
    auto next = arguments.begin();
    begin = *next++;
    end = *next++;
    tokenCount = *next++;
    input = *next++;
    if (kernel.kind == ActivationType::I8) {
      scales = *next++;
      sums = *next++;
    }
    weights = *next++;
    weightOffset = *next++;
    if (kernel.bias)
      biasOffset = *next++;
    output = *next++;
    if (kernel.residual)
      residual = *next++;
  }

  void emit() {
    int64_t rowBytes = layout.cols * (kernel.kind == ActivationType::I8 ? 1 : 4);
    int64_t tokensAtOnce = std::max(kMinTokensAtOnce, kTokenBytes / rowBytes / kTokens * kTokens);
    int64_t tilesAtOnce = std::clamp<int64_t>(kPanelBytes / tileBytes(), 1, 4);
    b.loop(b.index(0), tokenCount, tokensAtOnce, [&](Value firstToken) {
      Value lastToken = b.minimum(b.add(firstToken, b.index(tokensAtOnce)), tokenCount);
      b.loop(begin, end, tilesAtOnce, [&](Value firstTile) {
        Value lastTile = b.minimum(b.add(firstTile, b.index(tilesAtOnce)), end);
        emitTiles(firstTile, lastTile, firstToken, lastToken);
      });
    });
  }

private:
  static constexpr int64_t kTokens = 4;
  static constexpr int64_t kMinTokensAtOnce = 32;
  static constexpr int64_t kTokenBytes = 256 * 1024; ///< Of activations that are kept at hand.
  static constexpr int64_t kPanelBytes = 16 * 1024;  ///< Of panels that are kept at hand.

  int64_t tileBytes() const {
    return layout.panelBytes() * (kernel.epilogue == LinearEpilogue::SwiGLU ? 2 : 1);
  }

  /// Some tiles for some tokens: by fours, then the rest.
  void emitTiles(Value firstTile, Value lastTile, Value firstToken, Value lastToken) {
    Value count = b.sub(lastToken, firstToken);
    Value rest = b.rem(count, b.index(kTokens));
    Value fours = b.sub(lastToken, rest);
    b.loop(firstToken, fours, kTokens,
           [&](Value token) { emitTokens(firstTile, lastTile, token, kTokens); });
    for (int64_t tokens = 1; tokens < kTokens; ++tokens)
      b.ifThen(b.compare(arith::CmpIPredicate::eq, rest, b.index(tokens)),
               [&] { emitTokens(firstTile, lastTile, fours, tokens); });
  }

  void emitTokens(Value firstTile, Value lastTile, Value token, int64_t tokens) {
    int64_t vectors = kPanelRows / lanes;
    int64_t atOnce = tokens <= 2 ? vectors : 1;
    b.loop(firstTile, lastTile, 1, [&](Value tile) {
      Value panel = b.add(weightOffset, b.mul(tile, b.index(tileBytes())));
      for (int64_t vector = 0; vector < vectors; vector += atOnce)
        emitPart(tile, {panel, vector, atOnce, token, tokens});
    });
  }

  Value at(Value offset, int64_t bytes) {
    return bytes == 0 ? offset : b.add(offset, b.index(bytes));
  }

  //===--- Sums -----------------------------------------------------------------------------===//

  SmallVector<Value> emitSums(const Part &part) {
    return kernel.kind == ActivationType::I8 ? emitIntegerSums(part) : emitFloatSums(part);
  }

  /// The integer dot product of one group, scaled and added to `sums`.
  void addGroup(const Part &part, Value block, int64_t inBlock, Value group,
                SmallVector<Value> &accumulators) {
    int64_t scale = inBlock * 32;
    int64_t codes = 64 + inBlock * layout.codeBytes();
    VectorType bytes = b.vectorOf(b.getI8Type(), 4 * lanes);
    auto activation = [&](int64_t token, int64_t quad) -> Value {
      Value k = b.add(b.mul(group, b.index(kGroupSize)), b.index(4 * quad));
      Value four = b.loadVector(input, {at(part.token, token), k}, 4);
      Value word = b.bitcast(four, b.vectorOf(b.getI32Type(), 1));
      return b.bitcast(b.broadcast(vector::ExtractOp::create(b, word, 0), lanes), bytes);
    };
    auto activationPair = [&](int64_t token, int64_t quad) -> Value {
      Value k = b.add(b.mul(group, b.index(kGroupSize)), b.index(4 * quad));
      auto eight = [&](int64_t of) -> Value {
        Value loaded = b.loadVector(input, {at(part.token, of), k}, 8);
        return b.bitcast(loaded, b.vectorOf(b.getI64Type(), 1));
      };
      Value both = vector::ShuffleOp::create(b, eight(token), eight(token + 1), {0, 1});
      return b.bitcast(both, b.vectorOf(b.getI8Type(), 16));
    };
    auto activationSum = [&](int64_t token) -> Value {
      return b.load(sums, {at(part.token, token), group});
    };
    Value scaledSum = b.add(group, b.index(layout.groups()));
    for (int64_t i = 0; i < part.halves; ++i) {
      int64_t half = part.firstHalf + i;
      GroupDot dot{layout.format, weights,    at(block, codes + half * lanes * 4),
                   part.tokens,   activation, activationPair,
                   activationSum};
      SmallVector<Value> dots = emitGroupDot(b, target, dot);
      Value weightScale = loadHalves(at(block, scale + half * lanes * 2));
      Value minimum =
          layout.hasMinimum() ? loadHalves(at(block, scale + 32 + half * lanes * 2)) : Value();
      for (int64_t token = 0; token < part.tokens; ++token) {
        Value &sum = accumulators[i * part.tokens + token];
        Value dotFloat = arith::SIToFPOp::create(b, b.vectorOf(b.getF32Type(), lanes), dots[token]);
        Value row = at(part.token, token);
        Value scaled = b.mul(dotFloat, b.loadBroadcast(scales, {row, group}, lanes));
        sum = b.fma(weightScale, scaled, sum);
        if (minimum)
          sum = b.fma(minimum, b.loadBroadcast(scales, {row, scaledSum}, lanes), sum);
      }
    }
  }

  Value loadHalves(Value offset) {
    return b.extend(b.loadBytes(weights, offset, b.getF16Type(), lanes));
  }

  SmallVector<Value> emitIntegerSums(const Part &part) {
    SmallVector<Value> zeros(part.halves * part.tokens, b.splatF32(0.0, lanes));
    return emitBlocks(part, zeros,
                      [&](Value block, int64_t inBlock, Value group, SmallVector<Value> &carried) {
                        addGroup(part, block, inBlock, group, carried);
                      });
  }

  /// A loop over the blocks of a quantised panel, its groups unrolled; then a last odd group.
  SmallVector<Value>
  emitBlocks(const Part &part, ValueRange initial,
             llvm::function_ref<void(Value, int64_t, Value, SmallVector<Value> &)> addOne) {
    int64_t perBlock = layout.groupsPerBlock();
    int64_t blocks = layout.groups() / perBlock;
    SmallVector<Value> results =
        b.loop(b.index(0), b.index(blocks), 1, initial, [&](Value index, ValueRange carried) {
          SmallVector<Value> accumulators(carried);
          Value block = b.add(part.panel, b.mul(index, b.index(layout.blockBytes())));
          for (int64_t inBlock = 0; inBlock < perBlock; ++inBlock)
            addOne(block, inBlock, at(b.mul(index, b.index(perBlock)), inBlock), accumulators);
          return accumulators;
        });
    for (int64_t group = blocks * perBlock; group < layout.groups(); ++group)
      addOne(at(part.panel, blocks * layout.blockBytes()), group % perBlock, b.index(group),
             results);
    return results;
  }

  //===--- Float sums -----------------------------------------------------------------------===//

  static constexpr int64_t kChains = 2;

  void addProducts(const Part &part, int64_t half, Value weight, Value k, int64_t parity,
                   SmallVector<Value> &accumulators) {
    for (int64_t token = 0; token < part.tokens; ++token) {
      Value x = b.loadBroadcast(input, {at(part.token, token), k}, lanes);
      Value &sum = accumulators[(parity * part.halves + half) * part.tokens + token];
      sum = b.fma(weight, x, sum);
    }
  }

  /// Dequantises one group and multiplies it: w = d * c (+ m) as the checkpoint defines it.
  void addFloatGroup(const Part &part, Value block, int64_t inBlock, Value group,
                     SmallVector<Value> &accumulators) {
    VectorType ints = b.vectorOf(b.getI32Type(), lanes);
    VectorType floats = b.vectorOf(b.getF32Type(), lanes);
    Value firstK = b.mul(group, b.index(kGroupSize));
    for (int64_t i = 0; i < part.halves; ++i) {
      int64_t half = part.firstHalf + i;
      Value scale = loadHalves(at(block, inBlock * 32 + half * lanes * 2));
      Value minimum = layout.hasMinimum()
                          ? loadHalves(at(block, inBlock * 32 + 32 + half * lanes * 2))
                          : Value();
      auto addCode = [&](Value code, int64_t k) {
        Value weight = arith::SIToFPOp::create(b, floats, code);
        if (layout.format == PackedFormat::Q4_0)
          weight = b.sub(weight, b.splatF32(8.0, lanes));
        weight = minimum ? b.fma(scale, weight, minimum) : b.mul(scale, weight);
        addProducts(part, i, weight, at(firstK, k), k % kChains, accumulators);
      };
      for (int64_t vector = 0; vector < (layout.isFourBit() ? 4 : 8); ++vector) {
        Value offset =
            at(block, 64 + inBlock * layout.codeBytes() + vector * 64 + half * lanes * 4);
        Value raw = b.loadBytes(weights, offset, b.getI32Type(), lanes);
        auto field = [&](int64_t shift, int64_t bits) -> Value {
          Value up = arith::ShLIOp::create(b, raw, b.splatInt(32 - bits - shift, ints));
          if (layout.isFourBit())
            return arith::ShRUIOp::create(b, up, b.splatInt(32 - bits, ints));
          return arith::ShRSIOp::create(b, up, b.splatInt(32 - bits, ints));
        };
        for (int64_t byte = 0; byte < 4; ++byte) {
          if (layout.isFourBit()) {
            addCode(field(8 * byte, 4), 8 * vector + byte);
            addCode(field(8 * byte + 4, 4), 8 * vector + 4 + byte);
          } else {
            addCode(field(8 * byte, 8), 4 * vector + byte);
          }
        }
      }
    }
  }

  /// Two successive k of a plain panel; `count` of them exist.
  void addPlainPair(const Part &part, Value k, int64_t count, SmallVector<Value> &accumulators) {
    for (int64_t i = 0; i < part.halves; ++i) {
      int64_t row = (part.firstHalf + i) * lanes;
      Value bytes = b.mul(k, b.index(layout.elementOffset(0, 2) / 2));
      auto load = [&](int64_t ofPair) -> Value {
        Value offset = b.add(at(part.panel, layout.elementOffset(row, ofPair)), bytes);
        Type element = layout.format == PackedFormat::F32 ? Type(b.getF32Type()) : b.getF16Type();
        return b.extend(b.loadBytes(weights, offset, element, lanes));
      };
      Value pair[2];
      if (layout.format == PackedFormat::BF16) {
        VectorType ints = b.vectorOf(b.getI32Type(), lanes);
        VectorType floats = b.vectorOf(b.getF32Type(), lanes);
        Value offset = b.add(at(part.panel, layout.elementOffset(row, 0)), bytes);
        Value raw = b.loadBytes(weights, offset, b.getI32Type(), lanes);
        Value low = arith::ShLIOp::create(b, raw, b.splatInt(16, ints));
        Value high = arith::AndIOp::create(b, raw, b.splatInt(-65536, ints));
        pair[0] = b.bitcast(low, floats);
        pair[1] = b.bitcast(high, floats);
      } else {
        for (int64_t of = 0; of < count; ++of)
          pair[of] = load(of);
      }
      for (int64_t of = 0; of < count; ++of)
        addProducts(part, i, pair[of], at(k, of), of, accumulators);
    }
  }

  SmallVector<Value> emitFloatSums(const Part &part) {
    int64_t count = part.halves * part.tokens;
    SmallVector<Value> sums(kChains * count, b.splatF32(0.0, lanes));
    if (layout.isQuantized()) {
      sums = emitBlocks(part, sums,
                        [&](Value block, int64_t inBlock, Value group, SmallVector<Value> &all) {
                          addFloatGroup(part, block, inBlock, group, all);
                        });
    } else {
      int64_t even = layout.cols / 2 * 2;
      sums = b.loop(b.index(0), b.index(even), 2, sums, [&](Value k, ValueRange carried) {
        SmallVector<Value> all(carried);
        addPlainPair(part, k, 2, all);
        return all;
      });
      if (even < layout.cols)
        addPlainPair(part, b.index(even), 1, sums);
    }
    SmallVector<Value> results;
    for (int64_t i = 0; i < count; ++i)
      results.push_back(b.add(sums[i], sums[count + i]));
    return results;
  }

  //===--- Epilogue -------------------------------------------------------------------------===//

  void emitPart(Value tile, const Part &part) {
    SmallVector<Value> sums = emitSums(part);
    if (kernel.epilogue == LinearEpilogue::SwiGLU) {
      Part up = part;
      up.panel = at(part.panel, layout.panelBytes());
      SmallVector<Value> upSums = emitSums(up);
      for (auto [sum, upSum] : llvm::zip_equal(sums, upSums))
        sum = b.mul(b.silu(sum), upSum);
    }
    Value firstColumn = b.mul(tile, b.index(kPanelRows));
    for (int64_t i = 0; i < part.halves; ++i) {
      int64_t half = part.firstHalf + i;
      Value column = at(firstColumn, half * lanes);
      for (int64_t token = 0; token < part.tokens; ++token) {
        Value sum = sums[i * part.tokens + token];
        if (kernel.bias) {
          Value offset = b.add(biasOffset, b.mul(column, b.index(4)));
          sum = b.add(sum, b.loadBytes(weights, offset, b.getF32Type(), lanes));
        }
        emitStore(sum, tile, half, at(part.token, token), column);
      }
    }
  }

  void emitStore(Value sum, Value tile, int64_t half, Value row, Value column) {
    auto storeAll = [&] {
      Value value = sum;
      if (residual)
        value = b.add(b.loadVector(residual, {row, column}, lanes), value);
      b.storeVector(value, output, {row, column});
    };
    int64_t tiles = (kernel.columns + kPanelRows - 1) / kPanelRows;
    int64_t valid = kernel.columns - (tiles - 1) * kPanelRows - half * lanes;
    bool isPadded = KernelLibrary::rowStride(kernel.output) >= tiles * kPanelRows;
    if (isPadded || valid >= lanes)
      return storeAll();
    Value isLast = b.compare(arith::CmpIPredicate::eq, tile, b.index(tiles - 1));
    b.ifThen(
        isLast,
        [&] {
          for (int64_t lane = 0; lane < valid; ++lane) {
            Value value = vector::ExtractOp::create(b, sum, lane);
            Value at = b.add(column, b.index(lane));
            if (residual)
              value = b.add(b.load(residual, {row, at}), value);
            b.store(value, output, {row, at});
          }
        },
        storeAll);
  }

  KernelBuilder &b;
  const CPUTarget &target;
  const LinearKernel &kernel;
  const PackedLayout &layout;
  int64_t lanes;
  Value begin, end, tokenCount, input, scales, sums, weights, weightOffset, biasOffset, output,
      residual;
};

const char *formatName(PackedFormat format) {
  switch (format) {
  case PackedFormat::F32:
    return "f32";
  case PackedFormat::F16:
    return "f16";
  case PackedFormat::BF16:
    return "bf16";
  case PackedFormat::Q8_0:
    return "q8_0";
  case PackedFormat::Q4_0:
    return "q4_0";
  case PackedFormat::Q4_1:
    return "q4_1";
  }
  llvm_unreachable("unknown packed format");
}
} // namespace

func::FuncOp getKernel(KernelLibrary &library, const LinearKernel &kernel) {
  SmallVector<Type> types(3, library.indexType());
  if (kernel.kind == ActivationType::I8) {
    QuantizedRows rows = QuantizedRows::get(library.context(), kernel.layout.cols);
    types.append({rows.codes, rows.scales, rows.sums});
  } else {
    types.push_back(kernel.input);
  }
  types.append({library.bytesType(), library.indexType()});
  std::string name = std::string("linear_") + formatName(kernel.layout.format) + "_" +
                     (kernel.kind == ActivationType::I8 ? "i8" : "f32") + "_" +
                     std::to_string(kernel.columns) + "x" + std::to_string(kernel.layout.cols);
  if (kernel.bias) {
    types.push_back(library.indexType());
    name += "_bias";
  }
  if (kernel.epilogue == LinearEpilogue::SwiGLU)
    name += "_swiglu";
  types.push_back(kernel.output);
  if (kernel.residual) {
    types.push_back(kernel.residual);
    name += "_residual";
  }
  return library.getOrCreate(name, types, [&](KernelBuilder &builder, ValueRange arguments) {
    LinearEmitter(builder, library.target(), kernel, arguments).emit();
  });
}

} // namespace mlir::llm
