// Dense attention: its kernel from the op, its tiling, and which worker computes what. See
// DenseAttention.h.

#include "DenseAttentionTiles.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/xxhash.h"

namespace mlir::llm {

//===--- From the op --------------------------------------------------------------------------===//

LogicalResult checkDenseAttention(AttentionOp op) {
  for (Type type : op->getOperandTypes())
    if (!isa<RankedTensorType>(type))
      return op.emitOpError("expected tensors, since it is lowered before bufferisation, but got ")
             << type;
  for (Value value : {op.getQuery(), op.getKeys(), op.getValues()}) {
    auto type = cast<ShapedType>(value.getType());
    for (int64_t dim : {type.getRank() - 2, type.getRank() - 1})
      if (type.isDynamicDim(dim))
        return op.emitOpError("expected known heads and head sizes for the CPU's attention, but "
                              "got ")
               << type;
  }
  return success();
}

DenseAttentionKernel getDenseAttentionKernel(AttentionOp op, AttentionTechnique technique,
                                             MemRefType query, MemRefType keys, MemRefType values,
                                             MemRefType output) {
  auto keyShape = cast<ShapedType>(op.getKeys().getType()).getShape();
  auto valueShape = cast<ShapedType>(op.getValues().getType()).getShape();
  DenseAttentionKernel kernel{query,
                              keys,
                              values,
                              output,
                              op.getNumHeads(),
                              keyShape[keyShape.size() - 2],
                              keyShape.back(),
                              valueShape.back(),
                              op.getScale().convertToDouble()};
  kernel.causal = op.getCausal();
  kernel.window = op.getWindow().value_or(0);
  kernel.numSinks = op.getNumSinks().value_or(0);
  if (std::optional<APFloat> cap = op.getSoftCap())
    kernel.softCap = cap->convertToDouble();
  if (std::optional<ArrayRef<float>> slopes = op.getAlibiSlopes())
    kernel.alibiSlopes.assign(slopes->begin(), slopes->end());
  kernel.sinkLogits = bool(op.getSinkLogits());
  if (Value mask = op.getMask())
    kernel.mask = getElementTypeOrSelf(mask).isInteger(1) ? MaskKind::Boolean : MaskKind::Additive;
  kernel.ragged = bool(op.getCuLengths());
  kernel.keyLengths = bool(op.getKeyLengths());
  kernel.technique = technique;
  return kernel;
}

std::string DenseAttentionKernel::name() const {
  std::string name = "dense_attention";
  auto addNumber = [&](int64_t number) { name += "_" + std::to_string(number); };
  for (int64_t number : {heads, kvHeads, keyDim, valueDim})
    addNumber(number);
  auto addBits = [&](const char *what, double number) {
    name += what + llvm::utohexstr(llvm::bit_cast<uint64_t>(number));
  };
  addBits("_", scale);
  if (causal)
    name += "_causal";
  if (window > 0) {
    name += "_window";
    addNumber(window);
    addNumber(numSinks);
  }
  if (softCap > 0)
    addBits("_cap", softCap);
  if (!alibiSlopes.empty()) {
    ArrayRef<uint8_t> bytes(reinterpret_cast<const uint8_t *>(alibiSlopes.data()),
                            alibiSlopes.size() * sizeof(float));
    name += "_alibi" + llvm::utohexstr(llvm::xxh3_64bits(bytes));
  }
  if (sinkLogits)
    name += "_sinks";
  if (mask != MaskKind::None)
    name += mask == MaskKind::Boolean ? "_booleans" : "_biases";
  if (ragged)
    name += "_ragged";
  if (keyLengths)
    name += "_lengths";
  switch (technique) {
  case AttentionTechnique::Flash:
    return name;
  case AttentionTechnique::FusedSoftmax:
    return name + "_fused";
  case AttentionTechnique::Masked:
    return name + "_masked";
  case AttentionTechnique::SlidingWindow:
    return name + "_sliding";
  case AttentionTechnique::ThreePass:
    return name + "_three_pass";
  }
  llvm_unreachable("unknown technique");
}

//===--- Tiling -------------------------------------------------------------------------------===//

/// Keys of a tile; half as many where a packed tile would not fit into the second cache.
static constexpr int64_t kTileKeys = 64;
static constexpr int64_t kLargeHeads = 512;
/// Rows for which a tile is packed, and elements of their queries and sums at most.
static constexpr int64_t kBlockRows = 96;
static constexpr int64_t kBlockElements = 64 * 1024;

DenseTiling::DenseTiling(const DenseAttentionKernel &kernel, int64_t lanes)
    : lanes(lanes), chunkRows(lanes >= 16 ? 12 : 6), vectors(2) {
  int64_t headElements = kernel.keyDim + kernel.valueDim;
  tileKeys = headElements > kLargeHeads ? kTileKeys / 2 : kTileKeys;
  blockRows =
      std::clamp<int64_t>(kBlockElements / headElements / chunkRows, 1, kBlockRows / chunkRows) *
      chunkRows;
  valueStride = (kernel.valueDim + lanes - 1) / lanes * lanes;
  stateStride = 2 * lanes;
  auto take = [next = int64_t(0)](int64_t elements) mutable {
    int64_t begin = next;
    next += (elements + 15) / 16 * 16;
    return begin;
  };
  packedKeys = take(kernel.keyDim * tileKeys);
  packedValues = take(tileKeys * valueStride);
  query = take(blockRows * kernel.keyDim);
  sums = take(blockRows * valueStride);
  states = take(blockRows * stateStride);
  weights = take(chunkRows * tileKeys);
  rescale = take(chunkRows);
  bias = take(tileKeys);
  size = take(0);
}

Value DenseScores::emitColumns(KernelBuilder &b, const DenseAttentionKernel &kernel,
                               const DenseTiling &tiling, Value rows, Value keys) {
  Value tile = b.index(tiling.tileKeys);
  auto tilesOf = [&](Value count) {
    return b.div(b.add(count, b.index(tiling.tileKeys - 1)), tile);
  };
  Value tiles = tilesOf(keys);
  if (kernel.technique == AttentionTechnique::SlidingWindow && kernel.causal && kernel.window > 0) {
    // The rows are of this many tokens at most, and begin anywhere in a tile.
    Value tokens = b.add(b.div(rows, b.index(kernel.group())), b.index(2));
    Value seen = b.add(tilesOf(b.add(tokens, b.index(kernel.window))), b.index(1));
    if (kernel.numSinks > 0)
      seen = b.add(seen, tilesOf(b.index(kernel.numSinks)));
    tiles = b.minimum(tiles, seen);
  }
  return b.mul(tiles, tile);
}

Value DenseScores::emitElements(KernelBuilder &b, const DenseAttentionKernel &kernel,
                                const DenseTiling &tiling, Value tokens, Value keys) {
  Value rows = b.mul(tokens, b.index(kernel.group()));
  if (!kernel.keepsAllRows())
    rows = b.minimum(rows, b.index(tiling.blockRows));
  Value columns = emitColumns(b, kernel, tiling, rows, keys);
  return b.mul(rows, b.add(columns, b.index(tiling.stateStride)));
}

//===--- Arguments ----------------------------------------------------------------------------===//

DenseArguments::DenseArguments(const DenseAttentionKernel &kernel, ValueRange arguments) {
  auto take = [&](Value &argument) {
    argument = arguments.front();
    arguments = arguments.drop_front();
  };
  for (Value *argument : {&worker, &workers, &query, &keys, &values, &output, &sequences})
    take(*argument);
  if (kernel.ragged) {
    take(cuLengths);
    take(cuKeyLengths);
  } else {
    take(tokensEach);
    take(keysEach);
    if (kernel.keyLengths)
      take(keyLengths);
  }
  take(scratch);
  if (kernel.keepsScores())
    take(scores);
  if (kernel.mask != MaskKind::None)
    for (Value *argument : {&maskBytes, &maskSequenceStride, &maskHeadStride, &maskRowStride})
      take(*argument);
  if (kernel.sinkLogits) {
    take(sinks);
    take(sinkOffset);
  }
}

SmallVector<Type> DenseArguments::types(KernelLibrary &library,
                                        const DenseAttentionKernel &kernel) {
  MLIRContext *context = library.context();
  Type index = library.indexType();
  Type ints = library.vectorType(IntegerType::get(context, 32));
  Type floats = library.vectorType(Float32Type::get(context));
  SmallVector<Type> types = {index,         index,         kernel.query, kernel.keys,
                             kernel.values, kernel.output, index};
  if (kernel.ragged)
    types.append({ints, ints});
  else
    types.append({index, index});
  if (kernel.keyLengths)
    types.push_back(ints);
  types.append(kernel.keepsScores() ? 2 : 1, floats);
  if (kernel.mask != MaskKind::None)
    llvm::append_values(types, library.bytesType(), index, index, index);
  if (kernel.sinkLogits)
    llvm::append_values(types, library.bytesType(), index);
  return types;
}

DenseMask DenseArguments::maskOf(KernelBuilder &b, const DenseTask &task) const {
  if (!maskBytes)
    return {};
  return {maskBytes, b.mul(task.sequence, maskSequenceStride), maskHeadStride, maskRowStride};
}

SmallVector<Type> DenseTile::types(KernelLibrary &library, const DenseAttentionKernel &kernel) {
  SmallVector<Type> types(6, library.indexType());
  if (kernel.mask != MaskKind::None)
    llvm::append_values(types, library.bytesType(), library.indexType(), library.indexType(),
                        library.indexType());
  return types;
}

DenseTile DenseTile::take(const DenseAttentionKernel &kernel, ValueRange &arguments) {
  ValueRange a = arguments;
  DenseTile tile{a[0], a[1], a[2], a[3], a[4], a[5], {}};
  arguments = arguments.drop_front(6);
  if (kernel.mask != MaskKind::None) {
    tile.mask = {a[6], a[7], a[8], a[9]};
    arguments = arguments.drop_front(4);
  }
  return tile;
}

SmallVector<Value> DenseTile::values() const {
  SmallVector<Value> values = {row, ownRow, shift, head, firstKey, valid};
  if (mask.bytes)
    llvm::append_values(values, mask.bytes, mask.offset, mask.headStride, mask.rowStride);
  return values;
}

//===--- Tasks --------------------------------------------------------------------------------===//

namespace {
class DenseTasks {
public:
  DenseTasks(KernelBuilder &b, KernelLibrary &library, const DenseAttentionKernel &kernel,
             const DenseArguments &arguments)
      : b(b), library(library), kernel(kernel), arguments(arguments),
        tiling(kernel, library.target().lanes) {}

  void emit() {
    b.loop(b.index(0), arguments.sequences, 1, {b.index(0)},
           [&](Value sequence, ValueRange carried) -> SmallVector<Value> {
             return {emitSequence(sequence, carried[0])};
           });
  }

private:
  /// Rows [first, end) of a tensor of `rows` rows, whatever the lengths say.
  std::pair<Value, Value> emitRange(Value lengths, Value sequence, Value rows) {
    auto bound = [&](Value index) {
      Value value = b.toIndex(b.load(lengths, index));
      return b.minimum(b.maximum(value, b.index(0)), rows);
    };
    Value begin = bound(sequence);
    return {begin, b.maximum(begin, bound(b.add(sequence, b.index(1))))};
  }

  Value rowsOf(Value tensor) { return memref::DimOp::create(b, tensor, 0); }

  /// Tasks are dealt out to the workers in turn; returns the number of the next one.
  Value emitSequence(Value sequence, Value firstTask) {
    DenseTask task;
    task.sequence = sequence;
    Value tokens;
    if (kernel.ragged) {
      auto [begin, end] = emitRange(arguments.cuLengths, sequence, rowsOf(arguments.query));
      auto [keyBegin, keyEnd] = emitRange(arguments.cuKeyLengths, sequence, rowsOf(arguments.keys));
      task.queryBegin = begin;
      tokens = b.sub(end, begin);
      task.keyBegin = keyBegin;
      task.keys = b.sub(keyEnd, keyBegin);
    } else {
      tokens = arguments.tokensEach;
      task.queryBegin = b.mul(sequence, tokens);
      task.keyBegin = b.mul(sequence, arguments.keysEach);
      task.keys = arguments.keysEach;
      if (kernel.keyLengths) {
        Value length = b.toIndex(b.load(arguments.keyLengths, sequence));
        task.keys = b.minimum(b.maximum(length, b.index(0)), task.keys);
      }
    }
    task.shift = b.sub(task.keys, tokens);
    Value rows = b.mul(tokens, b.index(kernel.group()));
    Value perTask = kernel.keepsAllRows() ? b.maximum(rows, b.index(1)) : b.index(tiling.blockRows);
    Value blocks = b.div(b.sub(b.add(rows, perTask), b.index(1)), perTask);
    Value count = b.mul(b.index(kernel.kvHeads), blocks);
    b.loop(b.index(0), count, 1, [&](Value number) {
      Value worker = b.rem(b.add(firstTask, number), arguments.workers);
      b.ifThen(b.compare(arith::CmpIPredicate::eq, worker, arguments.worker), [&] {
        task.head = b.div(number, blocks);
        task.rowBegin = b.mul(b.rem(number, blocks), perTask);
        task.rows = b.minimum(b.sub(rows, task.rowBegin), perTask);
        if (kernel.keepsScores())
          emitScoresTask(b, library, kernel, arguments, task);
        else
          emitFlashTask(b, library, kernel, arguments, task);
      });
    });
    return b.add(firstTask, count);
  }

  KernelBuilder &b;
  KernelLibrary &library;
  const DenseAttentionKernel &kernel;
  const DenseArguments &arguments;
  DenseTiling tiling;
};
} // namespace

func::FuncOp getKernel(KernelLibrary &library, const DenseAttentionKernel &kernel) {
  if (kernel.keepsScores())
    createScoresFunctions(library, kernel);
  else
    createFlashFunctions(library, kernel);
  return library.getOrCreate(kernel.name(), DenseArguments::types(library, kernel),
                             [&](KernelBuilder &builder, ValueRange values) {
                               DenseArguments arguments(kernel, values);
                               DenseTasks(builder, library, kernel, arguments).emit();
                             });
}

} // namespace mlir::llm
