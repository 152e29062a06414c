// The weighted values of a tile of i8 or i4 values by integer dots (AttentionWords.h): sums over
// the tile's keys, exact, then scaled into the rows' sums. Whole blocks are read; what no row sees
// has a weight of 0.

#include "AttentionSplit.h"

namespace mlir::llm {

namespace {
class WordValueEmitter {
public:
  WordValueEmitter(SplitContext &split, Value valid)
      : split(split), b(split.b), values(split.values), layout(split.layout), valid(valid),
        plan(split.valuePlan) {}

  void emit() {
    int64_t whole = plan.channels / plan.pass * plan.pass;
    auto emitPasses = [&](Value first) {
      b.loop(b.index(0), b.index(whole), plan.pass,
             [&](Value channel) { emitPass(b.add(first, channel), plan.pass, true); });
      for (auto [from, bytes] : splitLanes(plan.channels - whole, plan.pass))
        emitPass(b.add(first, b.index(whole + from)), bytes, false);
    };
    if (plan.channels == values.units())
      return emitPasses(b.index(0));
    b.loop(b.index(0), b.index(values.units()), plan.channels, emitPasses);
  }

private:
  /// `bytes` units from `unit`, for all rows.
  void emitPass(Value unit, int64_t bytes, bool fetches) {
    WordDots dots(b, split.library.target(), values, bytes);
    int64_t halvesAtOnce = dots.halvesAtOnce(split.rows);
    for (int64_t half = 0; half < 2; half += halvesAtOnce)
      for (int64_t stream = 0; stream < values.streams(); ++stream)
        split.forEachChunk(dots.rowsAtOnce(split.rows), [&](Value row, int64_t rows, bool isFirst) {
          prefetchStep = fetches && isFirst && half == 0 && stream == 0
                             ? b.mul(b.div(unit, b.index(plan.pass)), b.index(plan.stepsOfPass))
                             : Value();
          emitChunk({dots, row, rows, half, halvesAtOnce, stream, unit, bytes});
        });
  }

  /// Some rows, of one or both halves of a pass's channels.
  struct Chunk {
    WordDots &dots;
    Value row;
    int64_t rows, half, halves, stream;
    Value unit;
    int64_t bytes;
  };

  template <typename Sums> auto sumsOf(const Chunk &chunk, Sums sums, int64_t i, int64_t number) {
    return sums.slice((i * chunk.halves + number) * WordDots::kSums, WordDots::kSums);
  }

  void emitChunk(const Chunk &chunk) {
    weightGroup = b.index(0);
    if (values.storedGroups() > 1)
      weightGroup = b.div(b.add(chunk.unit, b.index(chunk.stream * values.units())),
                          b.index(values.groupChannels()));
    Value blocks = b.div(b.add(valid, b.index(split.blockKeys - 1)), b.index(split.blockKeys));
    auto emitBlock = [&](Value index, ValueRange carried) -> SmallVector<Value> {
      return emitKeys(chunk, index, carried);
    };
    SmallVector<Value> sums =
        b.loop(b.index(0), blocks, 1, chunk.dots.zeros(chunk.rows * chunk.halves), emitBlock);
    addToState(chunk, sums);
  }

  SmallVector<Value> emitKeys(const Chunk &chunk, Value index, ValueRange initial) {
    Value address = b.add(split.blockAddress(index), b.index(layout.value_offset));
    address = b.add(address, chunk.unit);
    if (Value inside = split.insideBlock())
      address = b.add(address, b.mul(inside, b.index(layout.value_token_stride)));
    Value column = b.mul(index, b.index(split.blockKeys));
    int64_t keys = 2 * plan.unrolling;
    return b.loop(b.index(0), b.index(split.blockKeys), keys, initial,
                  [&](Value key, ValueRange carried) -> SmallVector<Value> {
                    SmallVector<Value> sums(carried);
                    if (prefetchStep) {
                      Value ofBlock = b.add(prefetchStep, b.mul(index, b.index(plan.stepsOfBlock)));
                      split.prefetchAtValue(b.add(ofBlock, b.div(key, b.index(keys))));
                    }
                    for (int64_t i = 0; i < keys; i += 2)
                      emitPair(chunk, address, column, b.add(key, b.index(i)), sums);
                    return sums;
                  });
  }

  /// Adds the products of a pair of keys.
  void emitPair(const Chunk &chunk, Value address, Value column, Value key,
                MutableArrayRef<Value> sums) {
    WordDots &dots = chunk.dots;
    Value here = b.add(address, b.mul(key, b.index(layout.value_token_stride)));
    Value next = b.add(here, b.index(layout.value_token_stride));
    Value left = b.loadBytes(split.base, here, b.getI8Type(), chunk.bytes);
    Value right = b.loadBytes(split.base, next, b.getI8Type(), chunk.bytes);
    Value pair = b.div(b.add(column, key), b.index(2));
    for (int64_t number = 0; number < chunk.halves; ++number) {
      auto operands = dots.operands(left, right, chunk.half + number, chunk.stream);
      for (int64_t i = 0; i < chunk.rows; ++i) {
        Value at = split.weightWordsAt(weightGroup, b.add(chunk.row, b.index(i)), pair);
        Value weights = b.broadcast(b.load(split.scratch, at), chunk.bytes / 4);
        dots.accumulate(sumsOf(chunk, sums, i, number), operands, b.bitcast(weights, dots.words()));
      }
    }
  }

  void addToState(const Chunk &chunk, ArrayRef<Value> sums) {
    AttentionState &state = split.state;
    for (int64_t i = 0; i < chunk.rows; ++i) {
      Value row = b.add(chunk.row, b.index(i));
      Value rescale = b.broadcast(b.load(split.scratch, split.rescaleAt(row)), 8);
      Value scale = b.load(split.scratch, split.weightScaleAt(weightGroup, row));
      Value bias = arith::BitcastOp::create(
          b, b.getI32Type(), b.load(split.scratch, split.valueOffsetAt(weightGroup, row)));
      for (int64_t number = 0; number < chunk.halves; ++number) {
        auto separate = chunk.dots.separate(sumsOf(chunk, sums, i, number), bias);
        for (int64_t lane = 0; lane < chunk.bytes / 16; ++lane) {
          int64_t first = chunk.stream * values.units() + 16 * lane + 8 * (chunk.half + number);
          Value at = state.sumAt(b, row, b.add(chunk.unit, b.index(first)));
          Value sum = b.mul(b.loadVector(state.memory, at, 8), rescale);
          Value added = chunk.dots.neighbours(separate, lane);
          b.storeVector(b.fma(added, b.broadcast(scale, 8), sum), state.memory, at);
        }
      }
    }
  }

  SplitContext &split;
  KernelBuilder &b;
  const CacheSide &values;
  const llmir_cache_layout &layout;
  Value valid;
  const ValuePlan &plan;
  Value weightGroup;  ///< Of the chunk.
  Value prefetchStep; ///< Of the tile's steps, the first of the pass; null: others fetch.
};
} // namespace

void emitWordValues(SplitContext &split, Value valid) { WordValueEmitter(split, valid).emit(); }

} // namespace mlir::llm
