// The weighted values of a tile, added to the rows' sums: some rows and channels at a time are
// carried in registers over the tile's keys. The sum of a (row, channel) runs over the keys in
// order of position, whatever is beside it.

#include "AttentionSplit.h"

namespace mlir::llm {

namespace {
class ValueEmitter {
public:
  ValueEmitter(SplitContext &split, Value firstKey, Value valid)
      : split(split), b(split.b), values(split.values), layout(split.layout), firstKey(firstKey),
        valid(valid), plan(split.valuePlan) {}

  void emit() {
    // A pass stays within one scale group. All rows take a pass's channels before the next one, so
    // that they are read from the first cache level.
    int64_t whole = plan.channels / plan.pass * plan.pass;
    auto emitPasses = [&](Value first) {
      b.loop(b.index(0), b.index(whole), plan.pass, [&](Value channel) {
        emitPass(b.add(first, channel), splitLanes(plan.pass, plan.width));
      });
      if (whole < plan.channels)
        emitPass(b.add(first, b.index(whole)), splitLanes(plan.channels - whole, plan.width));
    };
    if (plan.channels == values.units())
      return emitPasses(b.index(0));
    b.loop(b.index(0), b.index(values.units()), plan.channels, emitPasses);
  }

private:
  void emitPass(Value unit, ArrayRef<Part> parts) {
    split.forEachChunk(plan.registers.rows, [&](Value row, int64_t count, bool isFirst) {
      prefetchStep =
          isFirst ? b.mul(b.div(unit, b.index(plan.pass)), b.index(plan.stepsOfPass)) : Value();
      emitPass(row, count, unit, parts);
    });
  }

  /// Adds the weighted values of the tile to the sums of some rows and channels.
  void emitPass(Value row, int64_t count, Value unit, ArrayRef<Part> parts) {
    int64_t streams = values.streams();
    AttentionState &state = split.state;
    SmallVector<Value> initial;
    auto sumAt = [&](int64_t stream, int64_t i, int64_t from) {
      Value channel = b.add(unit, b.index(stream * values.units() + from));
      return state.sumAt(b, b.add(row, b.index(i)), channel);
    };
    auto forEachSum = [&](llvm::function_ref<void(int64_t, int64_t, Part)> body) {
      for (int64_t stream = 0; stream < streams; ++stream)
        for (int64_t i = 0; i < count; ++i)
          for (Part part : parts)
            body(stream, i, part);
    };
    weightGroups.assign(streams, b.index(0));
    if (values.storedGroups() > 1)
      for (int64_t stream = 0; stream < streams; ++stream)
        weightGroups[stream] =
            b.div(b.add(unit, b.index(stream * values.units())), b.index(values.groupChannels()));
    forEachSum([&](int64_t stream, int64_t i, Part part) {
      Value thisRow = b.add(row, b.index(i));
      Value rescale = b.broadcast(b.load(split.scratch, split.rescaleAt(thisRow)), part.second);
      Value sum = b.loadVector(state.memory, sumAt(stream, i, part.first), part.second);
      if (values.readOffset() == 0) {
        initial.push_back(b.mul(sum, rescale));
        return;
      }
      Value offset = b.load(split.scratch, split.valueOffsetAt(weightGroups[stream], thisRow));
      initial.push_back(b.fma(sum, rescale, b.broadcast(offset, part.second)));
    });
    Value blocks = b.div(b.add(valid, b.index(split.blockKeys - 1)), b.index(split.blockKeys));
    auto emitBlock = [&](Value index, ValueRange carried) -> SmallVector<Value> {
      Value address = b.add(split.blockAddress(index), b.index(layout.value_offset));
      address = b.add(address, b.mul(unit, b.index(layout.value_channel_stride)));
      return emitKeys(row, count, parts, index, address, carried);
    };
    SmallVector<Value> sums = b.loop(b.index(0), blocks, 1, initial, emitBlock);
    size_t next = 0;
    forEachSum([&](int64_t stream, int64_t i, Part part) {
      b.storeVector(sums[next++], state.memory, sumAt(stream, i, part.first));
    });
  }

  /// The keys of a block (from `column` of the tile) that some row may see. What a window has left
  /// behind may belong to somebody else by now.
  std::pair<Value, Value> emitSeenKeys(Value column) {
    Value to = b.minimum(b.sub(valid, column), b.index(split.blockKeys));
    if (!split.windowBegin)
      return {b.index(0), to};
    Value blockBegin = b.add(firstKey, column);
    Value from = b.maximum(b.sub(split.windowBegin, blockBegin), b.index(0));
    from = b.minimum(from, to);
    if (layout.num_sinks > 0) {
      Value hasSinks = b.compare(arith::CmpIPredicate::ult, blockBegin, b.index(layout.num_sinks));
      from = b.select(hasSinks, b.index(0), from);
    }
    return {from, to};
  }

  /// The keys of block `index`, some at a time while that many are left, then one by one.
  SmallVector<Value> emitKeys(Value row, int64_t count, ArrayRef<Part> parts, Value index,
                              Value address, ValueRange initial) {
    Value column = b.mul(index, b.index(split.blockKeys));
    auto [from, to] = emitSeenKeys(column);
    if (split.hasPairDots)
      return emitPairs(row, count, parts, index, address, from, to, initial);
    int64_t unrolling = plan.unrolling;
    auto emitSteps = [&](Value key, ValueRange carried, int64_t times) -> SmallVector<Value> {
      SmallVector<Value> sums(carried);
      if (prefetchStep && times == unrolling) {
        Value ofBlock = b.add(prefetchStep, b.mul(index, b.index(plan.stepsOfBlock)));
        split.prefetchAtValue(b.add(ofBlock, b.div(key, b.index(unrolling))));
      }
      for (int64_t i = 0; i < times; ++i)
        emitKey(row, count, parts, address, column, b.add(key, b.index(i)), sums);
      return sums;
    };
    auto emitSome = [&](Value key, ValueRange carried) {
      return emitSteps(key, carried, unrolling);
    };
    if (unrolling == 1)
      return b.loop(from, to, 1, initial, emitSome);
    Value times = b.div(b.sub(to, from), b.index(unrolling));
    Value whole = b.add(from, b.mul(times, b.index(unrolling)));
    SmallVector<Value> sums = b.loop(from, whole, unrolling, initial, emitSome);
    return b.loop(whole, to, 1, sums,
                  [&](Value key, ValueRange carried) { return emitSteps(key, carried, 1); });
  }

  /// The elements of one key of a pair, as f32.
  Value loadOfPair(Value pair, Value key, Part part) {
    VectorType ints = b.vectorOf(b.getI32Type(), part.second);
    Value at = b.add(pair, b.index(part.first * layout.value_channel_stride));
    Value bits = b.loadBytes(split.base, at, b.getI32Type(), part.second);
    Value isSecond = b.mul(b.rem(key, b.index(2)), b.index(16));
    Value shift = b.broadcast(b.toI32(b.sub(b.index(16), isSecond)), part.second);
    bits = arith::ShLIOp::create(b, bits, shift);
    bits = arith::AndIOp::create(b, bits, b.splatInt(-65536, ints));
    return b.bitcast(bits, b.vectorOf(b.getF32Type(), part.second));
  }

  /// The keys of a block from `from` to `to`, two at a time. Of a pair that has only one of them
  /// the other is a zero.
  SmallVector<Value> emitPairs(Value row, int64_t count, ArrayRef<Part> parts, Value index,
                               Value address, Value from, Value to, ValueRange initial) {
    Value two = b.index(2), column = b.mul(index, b.index(split.blockKeys));
    if (Value inside = split.insideBlock())
      address = b.add(address, emitValueTokenOffset(b, layout, inside));
    Value begin = b.div(from, two), end = b.div(to, two);
    Value wholeBegin = b.div(b.add(from, b.index(1)), two);
    auto emitSome = [&](Value first, Value last, int64_t mask, ValueRange carried) {
      return b.loop(first, last, 1, carried, [&](Value pair, ValueRange now) {
        SmallVector<Value> sums(now);
        if (prefetchStep && mask == -1) {
          Value ofBlock = b.add(prefetchStep, b.mul(index, b.index(plan.stepsOfBlock)));
          split.prefetchAtValue(b.add(ofBlock, b.div(b.mul(pair, two), b.index(plan.unrolling))));
        }
        emitPair(row, count, parts, address, b.add(b.div(column, two), pair), pair, mask, sums);
        return sums;
      });
    };
    // A window may begin within a pair, which may be the last one, too.
    SmallVector<Value> sums(initial);
    if (split.windowBegin)
      sums = emitSome(begin, b.minimum(wholeBegin, end), -65536, sums);
    sums = emitSome(b.minimum(wholeBegin, end), end, -1, sums);
    Value hasRest = b.compare(arith::CmpIPredicate::ult, b.mul(end, two), to);
    Value isSeen = b.compare(arith::CmpIPredicate::ule, from, b.mul(end, two));
    hasRest = arith::AndIOp::create(b, hasRest, isSeen);
    Value rest = b.select(hasRest, b.add(end, b.index(1)), end);
    return emitSome(end, rest, 65535, sums);
  }

  /// Adds the products of a pair of keys.
  void emitPair(Value row, int64_t count, ArrayRef<Part> parts, Value address, Value weightPair,
                Value pair, int64_t mask, MutableArrayRef<Value> sums) {
    Value here = b.add(address, b.mul(pair, b.index(layout.value_token_stride)));
    SmallVector<Value> weights;
    for (int64_t i = 0; i < count; ++i) {
      Value at = split.weightWordsAt(b.index(0), b.add(row, b.index(i)), weightPair);
      weights.push_back(b.load(split.scratch, at));
    }
    for (size_t p = 0; p < parts.size(); ++p) {
      int64_t width = parts[p].second;
      VectorType ints = b.vectorOf(b.getI32Type(), width);
      Value at = b.add(here, b.index(parts[p].first * layout.value_channel_stride));
      Value pairs = b.loadBytes(split.base, at, b.getI32Type(), width);
      if (mask != -1)
        pairs = arith::AndIOp::create(b, pairs, b.splatInt(mask, ints));
      for (int64_t i = 0; i < count; ++i) {
        Value &sum = sums[i * parts.size() + p];
        sum = emitPairDots(split, sum, pairs, b.bitcast(b.broadcast(weights[i], width), ints));
      }
    }
  }

  /// Adds the products of one key to `sums` [streams][rows][parts]. What there is less of, weights
  /// or vectors of values, is kept in registers beside the sums.
  void emitKey(Value row, int64_t count, ArrayRef<Part> parts, Value address, Value column,
               Value key, MutableArrayRef<Value> sums) {
    Value inside = split.insideBlock();
    Value inMemory = inside ? b.add(key, inside) : key;
    bool isPaired = layout.value_interleave == 2;
    Value run = isPaired ? b.div(inMemory, b.index(2)) : inMemory;
    Value here = b.add(address, b.mul(run, b.index(layout.value_token_stride)));
    Value inTile = b.add(column, key);
    for (int64_t stream = 0; stream < values.streams(); ++stream) {
      SmallVector<Value> loaded(parts.size());
      auto load = [&](size_t p) {
        if (isPaired)
          return loaded[p] = loadOfPair(here, inMemory, parts[p]);
        return split.loadPart(
            values, parts, p, stream,
            [&](size_t q) {
              return b.add(here, b.index(parts[q].first * layout.value_channel_stride));
            },
            [](size_t) { return true; }, loaded);
      };
      auto weight = [&](int64_t i, size_t p) {
        Value at = split.weightAt(weightGroups[stream], b.add(row, b.index(i)), inTile);
        return b.broadcast(b.load(split.scratch, at), parts[p].second);
      };
      auto accumulate = [&](int64_t i, size_t p, Value factor) {
        Value &sum = sums[(stream * count + i) * parts.size() + p];
        sum = b.fma(factor, load(p), sum);
      };
      if (count >= static_cast<int64_t>(parts.size())) {
        for (size_t p = 0; p < parts.size(); ++p)
          load(p);
        for (int64_t i = 0; i < count; ++i)
          for (size_t p = 0; p < parts.size(); ++p)
            accumulate(i, p, weight(i, p));
        continue;
      }
      SmallVector<Value> weights;
      for (int64_t i = 0; i < count; ++i)
        weights.push_back(weight(i, 0));
      for (size_t p = 0; p < parts.size(); ++p)
        for (int64_t i = 0; i < count; ++i)
          accumulate(i, p, parts[p].second == parts[0].second ? weights[i] : weight(i, p));
    }
  }

  SplitContext &split;
  KernelBuilder &b;
  const CacheSide &values;
  const llmir_cache_layout &layout;
  Value firstKey, valid;
  const ValuePlan &plan;
  SmallVector<Value> weightGroups; ///< Of the pass, for each stream.
  Value prefetchStep; ///< Of the tile's steps, the first of the pass; null: others fetch.
};
} // namespace

void emitValues(SplitContext &split, Value firstKey, Value valid) {
  ValueEmitter(split, firstKey, valid).emit();
}

} // namespace mlir::llm
