// State, tasks and merging of attention: see AttentionState.h. Source of the merge: Milakov and
// Gimelshein, "Online normalizer calculation for softmax".

#include "AttentionState.h"

namespace mlir::llm {

/// Smaller than every score; weights relative to it vanish.
static constexpr double kNoScore = -1.0e30;

//===--- Sizes --------------------------------------------------------------------------------===//

/// Rows (token, query head) that a task has at most, tokens and keys of a task, keys of a split.
static constexpr int64_t kTaskRows = 12;
static constexpr int64_t kTaskTokens = 8;
static constexpr int64_t kTileKeys = 64;
static constexpr int64_t kSplitKeys = 256;

int64_t AttentionKernel::taskTokens() const {
  return std::clamp<int64_t>(kTaskRows / groupSize(), 1, kTaskTokens);
}

int64_t AttentionKernel::tileKeys() const {
  int64_t block = layout.block_size;
  if (block <= kTileKeys)
    return kTileKeys / block * block;
  return block % kTileKeys == 0 ? kTileKeys : block;
}

int64_t AttentionKernel::splitKeys() const {
  return tileKeys() * std::max<int64_t>(1, kSplitKeys / tileKeys());
}

int64_t AttentionKernel::scratchElements() const {
  return AttentionScratch(*this, taskTokens() * groupSize()).size + 16;
}

int64_t AttentionKernel::partialStates() const {
  int64_t splits = (layout.max_seq_len + splitKeys() - 1) / splitKeys();
  return splits < 2 ? 0 : 2 * splits * layout.num_kv_heads;
}

int64_t AttentionKernel::partialElements() const {
  return partialStates() *
         AttentionState::elements(taskTokens() * groupSize(), layout.value_head_dim);
}

AttentionScratch::AttentionScratch(const AttentionKernel &kernel, int64_t rows) {
  const llmir_cache_layout &layout = kernel.layout;
  CacheSide keys = CacheSide::keys(layout), values = CacheSide::values(layout);
  int64_t groups = values.storedGroups();
  int64_t state = AttentionState::elements(rows, layout.value_head_dim);
  auto take = [next = int64_t(0)](int64_t elements) mutable {
    int64_t begin = next;
    next += (elements + 15) / 16 * 16;
    return begin;
  };
  query = take(layout.key_head_dim * rows);
  queryOffsets = take(keys.isInteger() ? std::max<int64_t>(keys.storedGroups(), 1) * rows : 0);
  bool hasPairs = keys.pairsChannels();
  queryWords = take(keys.isInteger() || hasPairs ? 4 * layout.key_head_dim * rows : 0);
  queryScales = take(keys.isInteger() ? rows : 0);
  weights = take(std::max<int64_t>(groups, 1) * rows * kernel.tileKeys());
  int64_t wordRows = values.isInteger() ? std::max<int64_t>(groups, 1) * rows : 0;
  weightWords = take((hasPairs ? rows : wordRows) * ((kernel.tileKeys() + 1) / 2));
  weightScales = take(wordRows);
  valueScales = take(groups * kernel.tileKeys());
  valueOffsets = take(wordRows);
  keyPositions = take(kernel.positions ? kernel.tileKeys() : 0);
  rescale = take(rows);
  tileTotals = take(rows);
  split = take(state);
  result = take(state);
  size = take(0);
}

SmallVector<std::pair<int64_t, int64_t>> splitLanes(int64_t size, int64_t lanes) {
  SmallVector<std::pair<int64_t, int64_t>> parts;
  for (int64_t from = 0; from < size;) {
    while (lanes > size - from)
      lanes /= 2;
    parts.emplace_back(from, lanes);
    from += lanes;
  }
  return parts;
}

void forEachVector(KernelBuilder &b, int64_t size, int64_t lanes,
                   llvm::function_ref<void(Value, int64_t)> body) {
  int64_t whole = size / lanes * lanes;
  b.loop(b.index(0), b.index(whole), lanes, [&](Value channel) { body(channel, lanes); });
  for (auto [from, count] : splitLanes(size - whole, lanes))
    body(b.index(whole + from), count);
}

//===--- States -------------------------------------------------------------------------------===//

void emitEmptyState(KernelBuilder &b, const AttentionState &state, int64_t lanes) {
  b.loop(b.index(0), b.index(state.rows), 1, [&](Value row) {
    b.store(b.f32(kNoScore), state.memory, state.maximumAt(b, row));
    b.store(b.f32(0.0), state.memory, state.totalAt(b, row));
    forEachVector(b, state.valueDim, lanes, [&](Value channel, int64_t count) {
      b.storeVector(b.splatF32(0.0, count), state.memory, state.sumAt(b, row, channel));
    });
  });
}

/// exp of a scalar.
static Value emitScalarExp(KernelBuilder &b, Value x) {
  return b.firstLane(b.exp(b.broadcast(x, 4)));
}

void emitMerge(KernelBuilder &b, const AttentionState &whole, const AttentionState &part,
               int64_t lanes) {
  b.loop(b.index(0), b.index(whole.rows), 1, [&](Value row) {
    Value wholeMaximum = b.load(whole.memory, whole.maximumAt(b, row));
    Value partMaximum = b.load(part.memory, part.maximumAt(b, row));
    Value maximum = b.maximum(wholeMaximum, partMaximum);
    Value wholeFactor = emitScalarExp(b, b.sub(wholeMaximum, maximum));
    Value partFactor = emitScalarExp(b, b.sub(partMaximum, maximum));
    Value total = b.mul(b.load(whole.memory, whole.totalAt(b, row)), wholeFactor);
    total = b.fma(b.load(part.memory, part.totalAt(b, row)), partFactor, total);
    b.store(maximum, whole.memory, whole.maximumAt(b, row));
    b.store(total, whole.memory, whole.totalAt(b, row));
    forEachVector(b, whole.valueDim, lanes, [&](Value channel, int64_t count) {
      Value at = whole.sumAt(b, row, channel);
      Value sum = b.mul(b.loadVector(whole.memory, at, count), b.broadcast(wholeFactor, count));
      Value added = b.loadVector(part.memory, part.sumAt(b, row, channel), count);
      b.storeVector(b.fma(added, b.broadcast(partFactor, count), sum), whole.memory, at);
    });
  });
}

void emitOutput(KernelBuilder &b, const AttentionKernel &kernel, const AttentionState &result,
                const AttentionTask &task, Value output, const OutputFactors &factors,
                int64_t lanes) {
  Type element = kernel.output.getElementType();
  int64_t group = kernel.groupSize();
  double factor = CacheSide::values(kernel.layout).readFactor();
  b.loop(b.index(0), b.index(result.rows), 1, [&](Value row) {
    Value head = b.add(b.mul(task.head, b.index(group)), b.rem(row, b.index(group)));
    Value total = b.load(result.memory, result.totalAt(b, row));
    Value scale = b.f32(factor);
    if (factors.valueScale)
      scale = b.mul(scale, factors.valueScale);
    if (factors.sinks) {
      // A sink has a weight and no value.
      Value maximum = b.load(result.memory, result.maximumAt(b, row));
      Value inGroup = b.rem(row, b.index(group));
      Value at = b.add(factors.firstSink, b.mul(inGroup, b.index(4)));
      Value sink = b.firstLane(b.loadBytes(factors.sinks, at, b.getF32Type(), 1));
      Value larger = b.maximum(maximum, sink);
      Value rescale = emitScalarExp(b, b.sub(maximum, larger));
      total = b.fma(total, rescale, emitScalarExp(b, b.sub(sink, larger)));
      scale = b.mul(scale, rescale);
    }
    // A NaN counts as seen, so that it reaches the output.
    Value isSeen = arith::CmpFOp::create(b, arith::CmpFPredicate::UGT, total, b.f32(0.0));
    Value inverse = b.select(isSeen, b.div(scale, total), b.f32(0.0));
    Value column = b.mul(head, b.index(result.valueDim));
    Value token = b.add(task.token, b.div(row, b.index(group)));
    forEachVector(b, result.valueDim, lanes, [&](Value channel, int64_t count) {
      Value sum = b.loadVector(result.memory, result.sumAt(b, row, channel), count);
      Value scaled = b.mul(sum, b.broadcast(inverse, count));
      b.storeVector(b.truncate(scaled, element), output, {token, b.add(column, channel)});
    });
  });
}

} // namespace mlir::llm
