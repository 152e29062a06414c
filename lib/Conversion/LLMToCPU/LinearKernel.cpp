// Matrix products over packed panels.
//
// A tile is a panel of 16 rows (or a gate and an up panel). A panel meets as many tokens at once as
// the registers hold sums for; what is loaded serves all of them. Of many tokens, as many as half
// of a second-level cache holds meet some panels that stay in the first-level one. How outputs are
// summed is MatrixSums.h's; the order is the same for any number of tokens.

#include "MatrixSums.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

using ::llmir::kPanelRows;
using ::llmir::PackedFormat;
using ::llmir::PackedLayout;

namespace {
class LinearEmitter {
public:
  LinearEmitter(KernelBuilder &builder, KernelLibrary &library, const LinearKernel &kernel,
                StringRef name, ValueRange arguments)
      : b(builder), library(library), kernel(kernel), layout(kernel.layout),
        lanes(library.target().lanes), name(name), arguments(arguments) {
    auto next = arguments.begin();
    begin = *next++;
    end = *next++;
    tokenCount = *next++;
    operands.input = *next++;
    if (kernel.kind == ActivationType::I8) {
      operands.scales = *next++;
      operands.sums = *next++;
    }
    weights = operands.weights = *next++;
    weightOffset = *next++;
    if (kernel.bias)
      biasOffset = *next++;
    output = *next++;
    if (kernel.residual)
      residual = *next++;
    sums = createSums(b, library, kernel, operands);
    counts = sums->tokenCounts();
  }

  void emit() {
    bool isInt8 = kernel.kind == ActivationType::I8;
    int64_t rowBytes = layout.cols * (isInt8 ? 1 : kernel.input.getElementTypeBitWidth() / 8);
    int64_t tokensAtOnce = std::max(kMinTokensAtOnce, kTokenBytes / rowBytes);
    tokensAtOnce = (tokensAtOnce + counts.front() - 1) / counts.front() * counts.front();
    int64_t tilesAtOnce = std::clamp<int64_t>(kPanelBytes / tileBytes(), 1, 4);
    b.loop(b.index(0), tokenCount, tokensAtOnce, [&](Value firstToken) {
      Value lastToken = b.minimum(b.add(firstToken, b.index(tokensAtOnce)), tokenCount);
      b.loop(begin, end, tilesAtOnce, [&](Value firstTile) {
        Value lastTile = b.minimum(b.add(firstTile, b.index(tilesAtOnce)), end);
        emitTiles(firstTile, lastTile, firstToken, lastToken);
      });
    });
  }

  /// Some tiles for `tokens` tokens.
  void emitTokens(Value firstTile, Value lastTile, Value token, int64_t tokens) {
    int64_t vectors = kPanelRows / lanes, atOnce = sums->vectorsAtOnce(tokens);
    b.loop(firstTile, lastTile, 1, [&](Value tile) {
      Value panel = b.add(weightOffset, b.mul(tile, b.index(tileBytes())));
      for (int64_t vector = 0; vector < vectors; vector += atOnce)
        emitPart(tile, {panel, vector, atOnce, token, tokens});
    });
  }

private:
  static constexpr int64_t kMinTokensAtOnce = 32;
  static constexpr int64_t kTokenBytes = 256 * 1024; ///< Of activations that are kept at hand.
  static constexpr int64_t kPanelBytes = 16 * 1024;  ///< Of panels that are kept at hand.

  int64_t tileBytes() const {
    return layout.panelBytes() * (kernel.epilogue == LinearEpilogue::SwiGLU ? 2 : 1);
  }

  /// Some tiles for some tokens: by the largest count, then the rest.
  void emitTiles(Value firstTile, Value lastTile, Value firstToken, Value lastToken) {
    auto emitCount = [&](Value token, int64_t tokens) {
      if (sums->needsFunction(tokens))
        callTokens(firstTile, lastTile, token, tokens);
      else
        emitTokens(firstTile, lastTile, token, tokens);
    };
    Value rest = b.rem(b.sub(lastToken, firstToken), b.index(counts.front()));
    Value token = b.sub(lastToken, rest);
    b.loop(firstToken, token, counts.front(),
           [&](Value first) { emitCount(first, counts.front()); });
    for (int64_t tokens : ArrayRef(counts).drop_front()) {
      Value count = b.index(tokens);
      Value isThere = b.compare(arith::CmpIPredicate::uge, rest, count);
      b.ifThen(isThere, [&] { emitCount(token, tokens); });
      token = b.select(isThere, b.add(token, count), token);
      rest = b.select(isThere, b.sub(rest, count), rest);
    }
  }

  /// emitTokens in a function of its own, whose third argument is the first token.
  void callTokens(Value firstTile, Value lastTile, Value token, int64_t tokens) {
    SmallVector<Value> operands = {firstTile, lastTile, token};
    llvm::append_range(operands, arguments.drop_front(3));
    func::FuncOp function = library.getOrCreate(
        (name + "_tokens" + Twine(tokens)).str(), ValueRange(operands).getTypes(),
        [&](KernelBuilder &builder, ValueRange inner) {
          LinearEmitter emitter(builder, library, kernel, name, inner);
          emitter.emitTokens(inner[0], inner[1], inner[2], tokens);
        });
    func::CallOp::create(b, function, operands);
  }

  Value at(Value offset, int64_t bytes) {
    return bytes == 0 ? offset : b.add(offset, b.index(bytes));
  }

  //===--- Epilogue -------------------------------------------------------------------------===//

  void emitPart(Value tile, const Part &part) {
    SmallVector<Value> results = sums->emit(part);
    if (kernel.epilogue == LinearEpilogue::SwiGLU) {
      for (Value &sum : results)
        sum = b.silu(sum);
      Part up = part;
      up.panel = at(part.panel, layout.panelBytes());
      for (auto [sum, upSum] : llvm::zip_equal(results, sums->emit(up)))
        sum = b.mul(sum, upSum);
    }
    outputRows = takeRows(b, output, part.token, part.tokens);
    if (residual)
      residualRows = takeRows(b, residual, part.token, part.tokens);
    Value firstColumn = b.mul(tile, b.index(kPanelRows));
    for (int64_t i = 0; i < part.halves; ++i) {
      int64_t half = part.firstHalf + i;
      Value column = at(firstColumn, half * lanes);
      for (int64_t token = 0; token < part.tokens; ++token) {
        Value sum = results[i * part.tokens + token];
        if (kernel.bias) {
          Value offset = b.add(biasOffset, b.mul(column, b.index(4)));
          sum = b.add(sum, b.loadBytes(weights, offset, b.getF32Type(), lanes));
        }
        emitStore(sum, tile, half, b.index(token), column);
      }
    }
  }

  void emitStore(Value sum, Value tile, int64_t half, Value row, Value column) {
    auto storeAll = [&] {
      Value value = sum;
      if (residual)
        value = b.add(b.loadVector(residualRows, {row, column}, lanes), value);
      b.storeVector(value, outputRows, {row, column});
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
          if (valid > 0)
            storeFirst(valid, sum, row, column);
        },
        storeAll);
  }

  /// Stores the first `count` of the sums, and touches nothing behind them.
  void storeFirst(int64_t count, Value sum, Value row, Value column) {
    SmallVector<bool> isStored(lanes, false);
    std::fill_n(isStored.begin(), count, true);
    VectorType type = b.vectorOf(b.getI1Type(), lanes);
    Value mask = arith::ConstantOp::create(b, DenseElementsAttr::get(type, isStored));
    if (residual) {
      Value zero = b.splatF32(0.0, lanes);
      Value others = vector::MaskedLoadOp::create(b, zero.getType(), residualRows,
                                                  ValueRange{row, column}, mask, zero);
      sum = b.add(others, sum);
    }
    vector::MaskedStoreOp::create(b, outputRows, ValueRange{row, column}, mask, sum);
  }

  KernelBuilder &b;
  KernelLibrary &library;
  const LinearKernel &kernel;
  const PackedLayout &layout;
  int64_t lanes;
  StringRef name;
  ValueRange arguments;
  Value begin, end, tokenCount, weights, weightOffset, biasOffset, output, residual;
  Value outputRows, residualRows; ///< Of a part's tokens.
  SumOperands operands;
  std::unique_ptr<SumEmitter> sums;
  SmallVector<int64_t> counts;
};

} // namespace

func::FuncOp getKernel(KernelLibrary &library, const LinearKernel &kernel) {
  SmallVector<Type> types(3, library.indexType());
  if (kernel.kind == ActivationType::I8) {
    QuantizedRows rows =
        QuantizedRows::get(library.context(), kernel.layout.cols, kernel.layout.groupSize);
    types.append({rows.codes, rows.scales, rows.sums});
  } else {
    types.push_back(kernel.input);
  }
  types.append({library.bytesType(), library.indexType()});
  std::string name = std::string("linear_") + getName(kernel.layout.format) + "_" +
                     (kernel.kind == ActivationType::I8        ? "i8"
                      : kernel.input.getElementType().isBF16() ? "bf16"
                                                               : "f32") +
                     "_" + std::to_string(kernel.columns) + "x" +
                     std::to_string(kernel.layout.cols);
  if (kernel.layout.isQuantized() && kernel.layout.groupSize != ::llmir::kGroupSize)
    name += "_group" + std::to_string(kernel.layout.groupSize);
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
    LinearEmitter(builder, library, kernel, name, arguments).emit();
  });
}

} // namespace mlir::llm
