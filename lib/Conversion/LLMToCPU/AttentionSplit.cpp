// The inner part of attention: some tokens' query heads of one KV head against the keys of one
// split. For every key tile, in order of position: scores of its keys side by side (keys are
// channel-major, so there are no horizontal sums), online softmax in f32, weighted values. Elements
// are read as they are stored and converted in registers. A row that does not see a tile gets
// weights of exactly 0 and a rescale of exactly 1, so that its bytes do not depend on the rows
// beside it. Source: Dao et al., "FlashAttention".
//
// Floor, one token: the bytes of keys and values over the read bandwidth, and 2 * rows
// multiply-adds for each element over the peak of f32 fma: with 3 rows of f16 on 256 bits, 10.7
// bytes a cycle.

#include "AttentionSplit.h"

#include "EmulatedUnits.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

RegisterTile::RegisterTile(const CacheSide &side, int64_t allRows, int64_t lanes, int64_t streams) {
  // At most 12 of 16 registers (24 of 32) hold sums. Few rows take four vectors, with their factors
  // in registers; more rows, and elements whose reading takes registers, two, with the vectors in
  // registers. Powers of two, so that passes over channels start at whole vectors of a line.
  int64_t sums = lanes >= 16 ? 24 : 12;
  bool isSimple = !side.isFloat8() && !side.isPacked();
  vectors = (isSimple && allRows <= sums / 4 ? 4 : 2) / streams;
  int64_t maxRows = sums / (vectors * streams);
  int64_t chunks = (allRows + maxRows - 1) / maxRows;
  rows = (allRows + chunks - 1) / chunks;
}

/// How often an inner loop over `count` is unrolled.
static int64_t unrollingOf(int64_t count) {
  for (int64_t unrolling : {4, 2})
    if (count % unrolling == 0)
      return unrolling;
  return 1;
}

ScorePlan::ScorePlan(const CacheSide &keys, int64_t rows, int64_t lanes, int64_t blockKeys,
                     int64_t blocks)
    : registers(keys, rows, lanes, keys.storedGroups() > 1 ? keys.streams() : 1),
      ofBlock(splitLanes(blockKeys, lanes)) {
  auto vectors = static_cast<int64_t>(ofBlock.size());
  atOnce = std::clamp<int64_t>(registers.vectors / vectors, 1, blocks);
  while (blocks % atOnce != 0)
    --atOnce;
  unrolling = unrollingOf(keys.storedGroups() > 1 ? keys.groupChannels() : keys.units());
  stepsOfGroup = keys.units() / unrolling;
  steps = blocks / atOnce * stepsOfGroup;
}

ValuePlan::ValuePlan(const CacheSide &values, int64_t rows, int64_t lanes, int64_t blockKeys,
                     int64_t blocks)
    : registers(values, rows, lanes, values.streams()) {
  bool isGrouped = values.storedGroups() > 1;
  channels = isGrouped ? values.groupChannels() : values.units();
  width = lanes;
  while (isGrouped && channels % width != 0)
    width /= 2;
  pass = std::min(registers.vectors * width, channels);
  unrolling = unrollingOf(blockKeys);
  stepsOfBlock = blockKeys / unrolling;
  stepsOfPass = blocks * stepsOfBlock;
  steps = (values.units() + pass - 1) / pass * stepsOfPass;
}

void ScorePlan::useWords(const KeyWords &words, const CacheSide &keys, int64_t blocks) {
  int64_t together = std::min(keys.groupChannels(), keys.units()) / words.stepUnits();
  unrolling = unrollingOf(together);
  atOnce = 1;
  stepsOfGroup = keys.units() / (words.stepUnits() * unrolling);
  steps = blocks * stepsOfGroup;
}

void ValuePlan::useWords(const CacheSide &values, int64_t bytes, int64_t blockKeys,
                         int64_t blocks) {
  channels = std::min(values.groupChannels(), values.units());
  pass = bytes;
  while (pass > channels)
    pass /= 2;
  unrolling = unrollingOf(blockKeys / 2);
  stepsOfBlock = blockKeys / (2 * unrolling);
  stepsOfPass = blocks * stepsOfBlock;
  steps = values.units() / channels * (channels / pass) * stepsOfPass;
}

//===--- What the steps share -----------------------------------------------------------------===//

SplitContext::SplitContext(KernelBuilder &b, KernelLibrary &library, const AttentionKernel &kernel,
                           int64_t tokens, ValueRange arguments)
    : b(b), library(library), kernel(kernel), layout(kernel.layout), keys(CacheSide::keys(layout)),
      values(CacheSide::values(layout)), lanes(library.target().lanes), group(kernel.groupSize()),
      rows(tokens * group), tokens(tokens), tileKeys(kernel.tileKeys()),
      blocksPerTile(std::max<int64_t>(1, tileKeys / layout.block_size)),
      blockKeys(std::min<int64_t>(layout.block_size, tileKeys)), at(kernel, rows),
      base(arguments[0]), table(arguments[1]), tableRow(arguments[2]), layer(arguments[3]),
      head(arguments[4]), token(arguments[5]), visible(arguments[6]), begin(arguments[7]),
      end(arguments[8]), scratch(arguments[9]),
      state{arguments[10], arguments[11], rows, layout.value_head_dim}, followKey(arguments[12]),
      followHead(arguments[13]), lastBlock(arguments[14]),
      keyWords(KeyWords::of(kernel, library.target())),
      hasValueWords(usesValueWords(kernel, library.target())),
      hasPairDots(keys.pairsChannels() && library.target().hasPairDots),
      scorePlan(keys, rows, lanes, blockKeys, blocksPerTile),
      valuePlan(values, rows, lanes, blockKeys, blocksPerTile), prefetch(b, kernel, base, table) {
  if (keyWords)
    scorePlan.useWords(*keyWords, keys, blocksPerTile);
  if (hasValueWords)
    valuePlan.useWords(values, 4 * lanes, blockKeys, blocksPerTile);
  ValueRange rest = arguments.drop_front(15);
  if (kernel.treeMask) {
    treeBegin = rest[0];
    treeMask = rest[1];
    hasTree = rest[2];
    rest = rest.drop_front(3);
  }
  if (kernel.positions) {
    positionBegin = rest[0];
    positions = rest[1];
    firstToken = rest[2];
  }
  if (layout.window == 0)
    return;
  Value least, greatest;
  for (int64_t i = 0; i < tokens; ++i) {
    Value position = positionOf(b.index(i * group));
    least = least ? b.minimum(least, position) : position;
    greatest = greatest ? b.maximum(greatest, position) : position;
  }
  auto beginOf = [&](Value position) {
    return b.maximum(b.sub(position, b.index(layout.window - 1)), b.index(0));
  };
  windowBegin = beginOf(least);
  if (kernel.positions) // Keys of the step are judged by their positions alone.
    windowBegin = b.minimum(windowBegin, positionBegin);
  lastWindowBegin = beginOf(greatest);
}

SmallVector<Type> SplitContext::argumentTypes(KernelLibrary &library,
                                              const AttentionKernel &kernel) {
  MLIRContext *context = library.context();
  Type index = library.indexType();
  Type ints = library.vectorType(IntegerType::get(context, 32));
  Type floats = library.vectorType(Float32Type::get(context));
  SmallVector<Type> types = {library.bytesType(), ints, index};
  types.append(6, index);
  llvm::append_values(types, floats, floats, index, index, index, index);
  if (kernel.treeMask)
    llvm::append_values(types, index, library.vectorType(IntegerType::get(context, 64)),
                        IntegerType::get(context, 1));
  if (kernel.positions)
    llvm::append_values(types, index, ints, index);
  return types;
}

Value SplitContext::queryAt(Value row, Value channel) {
  return b.add(b.index(at.query), b.add(b.mul(row, b.index(layout.key_head_dim)), channel));
}
Value SplitContext::weightAt(Value number, Value row, Value key) {
  Value index = b.add(b.mul(number, b.index(rows)), row);
  return b.add(b.index(at.weights), b.add(b.mul(index, b.index(tileKeys)), key));
}
Value SplitContext::valueScaleAt(Value number, Value key) {
  return b.add(b.index(at.valueScales), b.add(b.mul(number, b.index(tileKeys)), key));
}
Value SplitContext::queryOffsetAt(Value number, Value row) {
  return b.add(b.index(at.queryOffsets), b.add(b.mul(number, b.index(rows)), row));
}
Value SplitContext::queryWordsAt(Value row, Value element) {
  return b.add(b.index(at.queryWords),
               b.add(b.mul(row, b.index(4 * layout.key_head_dim)), element));
}
Value SplitContext::queryScaleAt(Value row) { return b.add(b.index(at.queryScales), row); }
Value SplitContext::weightWordsAt(Value number, Value row, Value pair) {
  Value index = b.add(b.mul(number, b.index(rows)), row);
  return b.add(b.index(at.weightWords), b.add(b.mul(index, b.index(tileKeys / 2)), pair));
}
Value SplitContext::weightScaleAt(Value number, Value row) {
  return b.add(b.index(at.weightScales), b.add(b.mul(number, b.index(rows)), row));
}
Value SplitContext::valueOffsetAt(Value number, Value row) {
  return b.add(b.index(at.valueOffsets), b.add(b.mul(number, b.index(rows)), row));
}
Value SplitContext::rescaleAt(Value row) { return b.add(b.index(at.rescale), row); }
Value SplitContext::tileTotalAt(Value row) { return b.add(b.index(at.tileTotals), row); }
Value SplitContext::keyPositionAt(Value key) { return b.add(b.index(at.keyPositions), key); }

Value SplitContext::positionOf(Value row) {
  Value ofToken = b.div(row, b.index(group));
  if (kernel.positions)
    return b.toIndex(b.load(positions, b.add(token, ofToken)));
  return b.add(b.sub(visible, b.index(1)), ofToken);
}

void SplitContext::enterTile(Value firstKey) {
  Value blockSize = b.index(layout.block_size);
  firstBlock = b.div(firstKey, blockSize);
  inBlock = tilesAreParts() ? b.rem(firstKey, blockSize) : Value();
  Value next = b.add(firstKey, b.index(tileKeys));
  Value hasMore = b.compare(arith::CmpIPredicate::ult, next, end);
  prefetch.start({tableRow, lastBlock, layer, b.select(hasMore, head, followHead),
                  b.select(hasMore, next, followKey)});
}

Value SplitContext::blockAddress(Value index) {
  Value entry = b.minimum(b.add(firstBlock, index), lastBlock);
  Value block = b.toIndex(b.load(table, b.add(tableRow, entry)));
  return emitHeadAddress(b, layout, block, layer, head);
}

Value SplitContext::loadPart(const CacheSide &side, ArrayRef<Part> parts, size_t p, int64_t stream,
                             llvm::function_ref<Value(size_t)> address,
                             llvm::function_ref<bool(size_t)> adjoin,
                             SmallVectorImpl<Value> &loaded) {
  loaded.resize(parts.size());
  if (loaded[p])
    return loaded[p];
  // The integer steps of reading 8-bit floats take 16 at a time on 256 bits.
  bool isWide = side.isFloat8() && lanes == 8 && p + 1 < parts.size() && adjoin(p) &&
                parts[p].second == lanes && parts[p + 1].second == lanes;
  if (!isWide)
    return loaded[p] = loadElements(b, side, base, address(p), parts[p].second, stream);
  Value both = loadElements(b, side, base, address(p), 2 * lanes, stream);
  loaded[p] = b.slice(both, 0, lanes);
  loaded[p + 1] = b.slice(both, lanes, lanes);
  return loaded[p];
}

void SplitContext::forEachChunk(int64_t perChunk,
                                llvm::function_ref<void(Value, int64_t, bool)> body) {
  constexpr int64_t maxChunks = 4;
  int64_t whole = rows / perChunk;
  int64_t row = 0;
  for (; row < rows && (row == 0 || whole <= maxChunks); row += perChunk)
    body(b.index(row), std::min(perChunk, rows - row), row == 0);
  if (row >= rows)
    return;
  b.loop(b.index(row), b.index(whole * perChunk), perChunk,
         [&](Value first) { body(first, perChunk, false); });
  if (rows > whole * perChunk)
    body(b.index(whole * perChunk), rows - whole * perChunk, false);
}

Value emitPairDots(SplitContext &split, Value sums, Value pairs, Value factors) {
  KernelBuilder &b = split.b;
  if (split.library.target().emulatesPairDots)
    return emulatePairDots(b, split.library, sums, pairs, factors);
  // The least vector has four lanes.
  int64_t lanes = cast<VectorType>(sums.getType()).getDimSize(0);
  int64_t width = std::max<int64_t>(lanes, 4);
  auto widen = [&](Value vector) -> Value {
    SmallVector<int64_t> order;
    for (int64_t lane = 0; lane < width; ++lane)
      order.push_back(lane % lanes);
    return width == lanes ? vector : vector::ShuffleOp::create(b, vector, vector, order);
  };
  VectorType operands = b.vectorOf(b.getBF16Type(), 2 * width);
  Value result = b.intrinsic(
      "llvm.x86.avx512bf16.dpbf16ps." + std::to_string(32 * width),
      b.vectorOf(b.getF32Type(), width),
      {widen(sums), b.bitcast(widen(pairs), operands), b.bitcast(widen(factors), operands)});
  return b.slice(result, 0, lanes);
}

//===--- The function -------------------------------------------------------------------------===//

static void emitTile(SplitContext &split, Value firstKey) {
  KernelBuilder &b = split.b;
  Value valid = b.minimum(b.sub(split.end, firstKey), b.index(split.tileKeys));
  split.enterTile(firstKey);
  split.keyWords ? emitWordScores(split, valid) : emitScores(split, valid);
  emitValueFetch(split);
  emitSoftmax(split, firstKey);
  split.hasValueWords ? emitWordValues(split, valid) : emitValues(split, firstKey, valid);
}

static void emitSplit(SplitContext &split) {
  KernelBuilder &b = split.b;
  emitEmptyState(b, split.state, split.lanes);
  b.loop(split.begin, split.end, split.tileKeys, [&](Value firstKey) {
    if (!split.windowBegin)
      return emitTile(split, firstKey);
    Value isSeen = b.compare(arith::CmpIPredicate::ugt, b.add(firstKey, b.index(split.tileKeys)),
                             split.windowBegin);
    if (int64_t sinks = split.layout.num_sinks)
      isSeen = arith::OrIOp::create(b, isSeen,
                                    b.compare(arith::CmpIPredicate::ult, firstKey, b.index(sinks)));
    b.ifThen(isSeen, [&] { emitTile(split, firstKey); });
  });
}

func::FuncOp getSplitFunction(KernelLibrary &library, const AttentionKernel &kernel,
                              int64_t tokens) {
  return library.getOrCreate(kernel.name() + "_split_" + std::to_string(tokens),
                             SplitContext::argumentTypes(library, kernel),
                             [&](KernelBuilder &builder, ValueRange arguments) {
                               SplitContext split(builder, library, kernel, tokens, arguments);
                               emitSplit(split);
                             });
}

} // namespace mlir::llm
