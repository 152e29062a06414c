// The scores of a tile of i8 or i4 keys by integer dots (AttentionWords.h): for each block of the
// tile and some rows, sums over the channels, which scales make scores of.

#include "AttentionSplit.h"

namespace mlir::llm {

namespace {
class WordScoreEmitter {
public:
  WordScoreEmitter(SplitContext &split)
      : split(split), b(split.b), keys(split.keys), layout(split.layout), words(*split.keyWords),
        dots(b, split.library.target(), keys, words.bytes),
        halvesAtOnce(dots.halvesAtOnce(split.rows)), plan(split.scorePlan) {}

  void emit(Value valid) {
    Value blocks = b.div(b.add(valid, b.index(split.blockKeys - 1)), b.index(split.blockKeys));
    b.loop(b.index(0), blocks, 1, [&](Value number) {
      address = split.blockAddress(number);
      column = b.mul(number, b.index(split.blockKeys));
      emitValueScales(split, address, column);
      for (int64_t token = 0; token < split.blockKeys; token += words.tokens)
        for (int64_t half = 0; half < 2; half += halvesAtOnce)
          split.forEachChunk(dots.rowsAtOnce(split.rows), [&](Value row, int64_t rows, bool first) {
            prefetchStep = first && token == 0 && half == 0
                               ? b.mul(number, b.index(plan.stepsOfGroup))
                               : Value();
            emitScores(row, rows, token, half);
          });
    });
  }

private:
  template <typename Sums> auto sumsOf(Sums sums, int64_t i, int64_t number) {
    return sums.slice((i * halvesAtOnce + number) * WordDots::kSums, WordDots::kSums);
  }

  /// Scores of one or both halves of `words.tokens` tokens from `token` of the block.
  void emitScores(Value row, int64_t rows, int64_t token, int64_t half) {
    Value key = b.index(token);
    if (Value inside = split.insideBlock())
      key = b.add(key, inside);
    Value first = b.add(address, key);
    Value scaleOffset = b.mul(key, b.index(llmir_element_size(layout.scale_type)));
    Value scales = b.add(b.add(address, b.index(keys.scaleOffset)), scaleOffset);
    int64_t groups = keys.storedGroups();
    if (groups <= 1) {
      SmallVector<Value> sums =
          emitDots(row, rows, half, first, b.index(0), keys.units(), 0, keys.streams());
      forEachRun(rows, half, [&](int64_t i, int64_t number, int64_t lane, int64_t at) {
        Value score = scoreOf(sums, row, i, number, lane, b.index(0));
        if (groups == 1)
          score = b.mul(score, scalesAt(scales, at));
        storeScore(score, row, i, token + at);
      });
      return;
    }
    int64_t perStream = groups / keys.streams();
    auto emitGroup = [&](Value group, ValueRange carried) -> SmallVector<Value> {
      SmallVector<Value> scores(carried);
      for (int64_t stream = 0; stream < keys.streams(); ++stream) {
        SmallVector<Value> sums =
            emitDots(row, rows, half, first, b.mul(group, b.index(keys.groupChannels())),
                     keys.groupChannels(), stream, stream + 1);
        Value ofStream = b.add(group, b.index(stream * perStream));
        Value groupScales = b.add(scales, b.mul(ofStream, b.index(keys.scaleStride)));
        size_t next = 0;
        forEachRun(rows, half, [&](int64_t i, int64_t number, int64_t lane, int64_t at) {
          Value part = scoreOf(sums, row, i, number, lane, ofStream);
          scores[next] = b.fma(part, scalesAt(groupScales, at), scores[next]);
          ++next;
        });
      }
      return scores;
    };
    SmallVector<Value> zeros(static_cast<size_t>(rows * halvesAtOnce * words.tokens / 16),
                             b.splatF32(0.0, 8));
    SmallVector<Value> scores = b.loop(b.index(0), b.index(perStream), 1, zeros, emitGroup);
    size_t next = 0;
    forEachRun(rows, half, [&](int64_t i, int64_t, int64_t, int64_t at) {
      storeScore(scores[next++], row, i, token + at);
    });
  }

  /// Calls `body` for runs of eight tokens: (row, half at hand, lane, first token).
  void forEachRun(int64_t rows, int64_t half,
                  llvm::function_ref<void(int64_t, int64_t, int64_t, int64_t)> body) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t number = 0; number < halvesAtOnce; ++number)
        for (int64_t lane = 0; lane < words.tokens / 16; ++lane)
          body(i, number, lane, 16 * lane + 8 * (half + number));
  }

  Value scalesAt(Value scales, int64_t token) {
    int64_t size = llmir_element_size(layout.scale_type);
    return loadScales(b, keys, split.base, b.add(scales, b.index(token * size)), 8);
  }

  void storeScore(Value score, Value row, int64_t i, int64_t token) {
    Value thisRow = b.add(row, b.index(i));
    Value scale = b.load(split.scratch, split.queryScaleAt(thisRow));
    Value at = split.weightAt(b.index(0), thisRow, b.add(column, b.index(token)));
    b.storeVector(b.mul(score, b.broadcast(scale, 8)), split.scratch, at);
  }

  /// Eight dots of row `row` + i as f32, without scales.
  Value scoreOf(ArrayRef<Value> sums, Value row, int64_t i, int64_t number, int64_t lane,
                Value group) {
    Value at = split.queryOffsetAt(group, b.add(row, b.index(i)));
    Value bias = arith::BitcastOp::create(b, b.getI32Type(), b.load(split.scratch, at));
    ArrayRef<Value> own = sumsOf(sums, i, number);
    return dots.neighbours(dots.separate({addChannels(own[0]), addChannels(own[1])}, bias), lane);
  }

  /// The sum over the channels of a load, whose lanes are apart.
  Value addChannels(Value sums) {
    int64_t lanes = words.bytes / 4;
    for (int64_t channels = words.channels; channels > 1; channels /= 2, lanes /= 2)
      sums = b.add(b.slice(sums, 0, lanes / 2), b.slice(sums, lanes / 2, lanes / 2));
    return sums;
  }

  /// The sums of products of `range` key units from `from`, of some streams: [rows][halves].
  SmallVector<Value> emitDots(Value row, int64_t rows, int64_t half, Value first, Value from,
                              int64_t range, int64_t firstStream, int64_t endStream) {
    int64_t unrolling = plan.unrolling, step = words.stepUnits();
    auto emitStep = [&](Value index, ValueRange carried) -> SmallVector<Value> {
      SmallVector<Value> sums(carried);
      if (prefetchStep && firstStream == 0) {
        Value inGroup = b.add(b.div(from, b.index(unrolling * step)), index);
        split.prefetchAtScore(b.add(prefetchStep, inGroup));
      }
      for (int64_t u = 0; u < unrolling; ++u) {
        Value unit = b.add(from, b.mul(index, b.index(unrolling * step)));
        for (int64_t stream = firstStream; stream < endStream; ++stream)
          emitProducts(row, rows, half, first, b.add(unit, b.index(u * step)), stream, sums);
      }
      return sums;
    };
    return b.loop(b.index(0), b.index(range / (unrolling * step)), 1,
                  dots.zeros(rows * halvesAtOnce), emitStep);
  }

  /// Adds the products of a step's units.
  void emitProducts(Value row, int64_t rows, int64_t half, Value first, Value unit, int64_t stream,
                    MutableArrayRef<Value> sums) {
    Value address = b.add(first, b.mul(unit, b.index(layout.key_channel_stride)));
    auto load = [&](int64_t units) {
      Value at = b.add(address, b.index(units * layout.key_channel_stride));
      return b.loadBytes(split.base, at, b.getI8Type(), words.bytes);
    };
    Value left = load(0), right = load(words.channels);
    for (int64_t number = 0; number < halvesAtOnce; ++number) {
      auto operands = dots.operands(left, right, half + number, stream);
      for (int64_t i = 0; i < rows; ++i)
        dots.accumulate(sumsOf(sums, i, number), operands,
                        queryWords(b.add(row, b.index(i)), unit, stream));
    }
  }

  Value queryWords(Value row, Value unit, int64_t stream) {
    int64_t elements = words.queryElements();
    Value step = b.div(b.add(unit, b.index(stream * keys.units())), b.index(words.stepUnits()));
    Value at = split.queryWordsAt(row, b.mul(step, b.index(elements)));
    Value query = elements > 1 ? b.loadVector(split.scratch, at, elements)
                               : b.broadcast(b.load(split.scratch, at), words.bytes / 4);
    return b.bitcast(query, dots.words());
  }

  SplitContext &split;
  KernelBuilder &b;
  const CacheSide &keys;
  const llmir_cache_layout &layout;
  const KeyWords &words;
  WordDots dots;
  int64_t halvesAtOnce;
  const ScorePlan &plan;
  Value address, column; ///< Of the block, and its first key in the tile.
  Value prefetchStep;    ///< Of the tile's steps, the first of this block; null: others fetch.
};
} // namespace

void emitWordScores(SplitContext &split, Value valid) { WordScoreEmitter(split).emit(valid); }

} // namespace mlir::llm
