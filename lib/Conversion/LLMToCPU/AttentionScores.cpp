// The scores of a tile of keys: dot products of the rows' queries, which lie scaled in scratch,
// with keys side by side, one multiply-add a channel. The sum of a (row, key) runs over the
// channels in order (over the groups of channels, where they have scales), whatever is beside it.

#include "AttentionSplit.h"

namespace mlir::llm {

namespace {
/// A run of a block's keys that is in the tile.
struct Piece {
  Value keys;    ///< Address of the block's first key of the tile.
  Value scales;  ///< Address of its first stored key scale.
  Value column;  ///< In the tile.
  int64_t block; ///< Which of the blocks at hand.
};

class ScoreEmitter {
public:
  ScoreEmitter(SplitContext &split)
      : split(split), b(split.b), keys(split.keys), layout(split.layout), plan(split.scorePlan) {}

  void emit(Value valid) {
    Value blocks = b.div(b.add(valid, b.index(split.blockKeys - 1)), b.index(split.blockKeys));
    Value groups = b.div(b.add(blocks, b.index(plan.atOnce - 1)), b.index(plan.atOnce));
    b.loop(b.index(0), groups, 1, [&](Value number) {
      pieces.clear();
      parts.clear();
      for (int64_t i = 0; i < plan.atOnce; ++i) {
        Value index = b.add(b.mul(number, b.index(plan.atOnce)), b.index(i));
        addBlock(index, i);
      }
      for (size_t from = 0; from < parts.size(); from += plan.registers.vectors) {
        size_t count = std::min<size_t>(plan.registers.vectors, parts.size() - from);
        split.forEachChunk(plan.registers.rows, [&](Value row, int64_t rows, bool isFirst) {
          prefetchStep = isFirst && from == 0 ? b.mul(number, b.index(plan.stepsOfGroup)) : Value();
          emitScores(row, rows, ArrayRef(pieces).slice(from, count),
                     ArrayRef(parts).slice(from, count));
        });
      }
    });
  }

private:
  void addBlock(Value index, int64_t number) {
    Value address = split.blockAddress(index);
    Value inside = split.insideBlock();
    Value column = b.mul(index, b.index(split.blockKeys));
    emitValueScales(split, address, column);
    for (auto [from, width] : plan.ofBlock) {
      Value key = inside ? b.add(b.index(from), inside) : b.index(from);
      Value scale = b.mul(key, b.index(llmir_element_size(layout.scale_type)));
      pieces.push_back({b.add(address, b.mul(key, b.index(layout.key_token_stride))),
                        b.add(b.add(address, b.index(keys.scaleOffset)), scale),
                        b.add(column, b.index(from)), number});
      parts.emplace_back(from, width);
    }
  }

  void emitScores(Value row, int64_t count, ArrayRef<Piece> pieces, ArrayRef<Part> parts) {
    int64_t groups = keys.storedGroups();
    SmallVector<Value> scores;
    if (groups <= 1) {
      scores = emitDots(row, count, pieces, parts, b.index(0), keys.units(), 1, b.index(0));
      if (groups == 1)
        for (size_t p = 0; p < parts.size(); ++p) {
          Value scales = loadScales(b, keys, split.base, pieces[p].scales, parts[p].second);
          for (int64_t i = 0; i < count; ++i) {
            Value &score = scores[i * parts.size() + p];
            score = b.mul(score, scales);
          }
        }
    } else {
      scores = emitGroupedScores(row, count, pieces, parts);
    }
    for (int64_t i = 0; i < count; ++i)
      for (size_t p = 0; p < parts.size(); ++p)
        b.storeVector(scores[i * parts.size() + p], split.scratch,
                      split.weightAt(b.index(0), b.add(row, b.index(i)), pieces[p].column));
  }

  SmallVector<Value> zeros(int64_t times, ArrayRef<Part> parts) {
    SmallVector<Value> result;
    for (int64_t i = 0; i < times; ++i)
      for (auto [from, width] : parts)
        result.push_back(b.splatF32(0.0, width));
    return result;
  }

  /// Scores of keys whose channels have scales by groups.
  SmallVector<Value> emitGroupedScores(Value row, int64_t count, ArrayRef<Piece> pieces,
                                       ArrayRef<Part> parts) {
    int64_t perStream = keys.storedGroups() / keys.streams();
    auto emitGroup = [&](Value number, ValueRange carried) -> SmallVector<Value> {
      SmallVector<Value> scores(carried);
      Value from = b.mul(number, b.index(keys.groupChannels()));
      SmallVector<Value> sums =
          emitDots(row, count, pieces, parts, from, keys.groupChannels(), keys.streams(), number);
      for (int64_t stream = 0; stream < keys.streams(); ++stream) {
        Value scaleGroup = b.add(number, b.index(stream * perStream));
        for (size_t p = 0; p < parts.size(); ++p) {
          Value address = b.add(pieces[p].scales, b.mul(scaleGroup, b.index(keys.scaleStride)));
          Value scales = loadScales(b, keys, split.base, address, parts[p].second);
          for (int64_t i = 0; i < count; ++i) {
            Value &score = scores[i * parts.size() + p];
            score = b.fma(sums[(stream * count + i) * parts.size() + p], scales, score);
          }
        }
      }
      return scores;
    };
    return b.loop(b.index(0), b.index(perStream), 1, zeros(count, parts), emitGroup);
  }

  /// What sums of products start with: the offsets of the keys' elements, of scale groups
  /// `group`, `group` + groups / `times`, ….
  SmallVector<Value> initialSums(Value row, int64_t count, ArrayRef<Part> parts, int64_t times,
                                 Value group) {
    if (keys.readOffset() == 0)
      return zeros(times * count, parts);
    SmallVector<Value> result;
    for (int64_t stream = 0; stream < times; ++stream)
      for (int64_t i = 0; i < count; ++i) {
        Value number = b.add(group, b.index(stream * keys.storedGroups() / times));
        Value offset = b.load(split.scratch, split.queryOffsetAt(number, b.add(row, b.index(i))));
        for (auto [from, width] : parts)
          result.push_back(b.broadcast(offset, width));
      }
    return result;
  }

  /// The products of `range` key units from `from`, of scale group `group`: sums [times][rows]
  /// [parts]. Streams are summed apart where `times` is their number, else together.
  SmallVector<Value> emitDots(Value row, int64_t count, ArrayRef<Piece> pieces,
                              ArrayRef<Part> parts, Value from, int64_t range, int64_t times,
                              Value group) {
    int64_t streams = split.hasPairDots ? 1 : keys.streams();
    int64_t unrolling = plan.unrolling;
    auto emitStep = [&](Value step, ValueRange carried) -> SmallVector<Value> {
      SmallVector<Value> sums(carried);
      Value unit = b.add(from, b.mul(step, b.index(unrolling)));
      if (prefetchStep) {
        Value inGroup = b.add(b.div(from, b.index(unrolling)), step);
        split.prefetchAtScore(b.add(prefetchStep, inGroup));
      }
      for (int64_t u = 0; u < unrolling; ++u)
        for (int64_t stream = 0; stream < streams; ++stream)
          emitProducts(
              row, count, pieces, parts, b.add(unit, b.index(u)), stream,
              MutableArrayRef(sums).drop_front(times > 1 ? stream * count * parts.size() : 0));
      return sums;
    };
    return b.loop(b.index(0), b.index(range / unrolling), 1,
                  initialSums(row, count, parts, times, group), emitStep);
  }

  /// Adds the products of one channel to `sums` [rows][parts]. What there is less of, queries or
  /// vectors of keys, is kept in registers beside the sums.
  void emitProducts(Value row, int64_t count, ArrayRef<Piece> pieces, ArrayRef<Part> parts,
                    Value unit, int64_t stream, MutableArrayRef<Value> sums) {
    Value offset = b.mul(unit, b.index(layout.key_channel_stride));
    if (split.hasPairDots)
      return emitPairProducts(row, count, pieces, parts, unit, offset, sums);
    Value channel = keys.pairsChannels() ? b.add(b.mul(unit, b.index(2)), b.index(stream))
                                         : b.add(unit, b.index(stream * keys.units()));
    SmallVector<Value> loaded;
    auto load = [&](size_t p) {
      return split.loadPart(
          keys, parts, p, stream, [&](size_t q) { return b.add(pieces[q].keys, offset); },
          [&](size_t q) { return pieces[q].block == pieces[q + 1].block; }, loaded);
    };
    auto query = [&](int64_t i, size_t p) {
      Value scalar = b.load(split.scratch, split.queryAt(b.add(row, b.index(i)), channel));
      return b.broadcast(scalar, parts[p].second);
    };
    auto accumulate = [&](int64_t i, size_t p, Value factor) {
      Value &sum = sums[i * parts.size() + p];
      sum = b.fma(factor, load(p), sum);
    };
    if (count >= static_cast<int64_t>(parts.size())) {
      for (size_t p = 0; p < parts.size(); ++p)
        load(p);
      for (int64_t i = 0; i < count; ++i)
        for (size_t p = 0; p < parts.size(); ++p)
          accumulate(i, p, query(i, p));
      return;
    }
    SmallVector<Value> queries;
    for (int64_t i = 0; i < count; ++i)
      queries.push_back(query(i, 0));
    for (size_t p = 0; p < parts.size(); ++p)
      for (int64_t i = 0; i < count; ++i)
        accumulate(i, p, parts[p].second == parts[0].second ? queries[i] : query(i, p));
  }

  /// Adds the products of a pair of channels.
  void emitPairProducts(Value row, int64_t count, ArrayRef<Piece> pieces, ArrayRef<Part> parts,
                        Value unit, Value offset, MutableArrayRef<Value> sums) {
    SmallVector<Value> queries;
    for (int64_t i = 0; i < count; ++i) {
      Value at = split.queryWordsAt(b.add(row, b.index(i)), unit);
      queries.push_back(b.load(split.scratch, at));
    }
    for (size_t p = 0; p < parts.size(); ++p) {
      int64_t width = parts[p].second;
      VectorType ints = b.vectorOf(b.getI32Type(), width);
      Value pairs = b.loadBytes(split.base, b.add(pieces[p].keys, offset), b.getI32Type(), width);
      for (int64_t i = 0; i < count; ++i) {
        Value &sum = sums[i * parts.size() + p];
        sum = emitPairDots(split, sum, pairs, b.bitcast(b.broadcast(queries[i], width), ints));
      }
    }
  }

  SplitContext &split;
  KernelBuilder &b;
  const CacheSide &keys;
  const llmir_cache_layout &layout;
  const ScorePlan &plan;
  SmallVector<Piece> pieces;
  SmallVector<Part> parts;
  Value prefetchStep; ///< Of the tile's steps, the first of these blocks; null: others fetch.
};
} // namespace

void emitValueScales(SplitContext &split, Value address, Value column) {
  KernelBuilder &b = split.b;
  const CacheSide &values = split.values;
  if (values.storedGroups() == 0)
    return;
  int64_t size = llmir_element_size(split.layout.scale_type);
  Value first = b.add(address, b.index(values.scaleOffset));
  if (Value inside = split.insideBlock())
    first = b.add(first, b.mul(inside, b.index(size)));
  b.loop(b.index(0), b.index(values.storedGroups()), 1, [&](Value number) {
    Value from = b.add(first, b.mul(number, b.index(values.scaleStride)));
    for (auto [key, width] : splitLanes(split.blockKeys, split.lanes)) {
      Value scales = loadScales(b, values, split.base, b.add(from, b.index(key * size)), width);
      b.storeVector(scales, split.scratch, split.valueScaleAt(number, b.add(column, b.index(key))));
    }
  });
}

void emitScores(SplitContext &split, Value valid) { ScoreEmitter(split).emit(valid); }

} // namespace mlir::llm
