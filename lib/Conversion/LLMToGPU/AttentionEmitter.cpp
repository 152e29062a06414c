// The body of the attention kernels: see AttentionEmitter.h.

#include "AttentionEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

SmallVector<Type> AttentionOperands::types(const GPUKernelLibrary &library,
                                           const AttentionDeviceKernel &kernel) {
  MLIRContext *context = library.getContext();
  Type index = library.indexType(), ints = library.intsType(), floats = library.floatsType();
  Type f32 = Float32Type::get(context);
  SmallVector<Type> types = {
      library.vectorType(kernel.element), library.bytesType(), ints, index, ints, ints, index, f32};
  if (kernel.softCap > 0)
    types.push_back(f32);
  for (bool isThere :
       {CacheSide::keys(kernel.layout).hasConstantScale(),
        CacheSide::values(kernel.layout).hasConstantScale(), kernel.alibiSlopes, kernel.sinkLogits})
    if (isThere)
      types.push_back(floats);
  if (kernel.treeMask)
    types.push_back(library.vectorType(IntegerType::get(context, 64)));
  if (kernel.positions)
    types.push_back(ints);
  return types;
}

size_t AttentionOperands::count(const AttentionDeviceKernel &kernel) {
  return 8 + (kernel.softCap > 0) + CacheSide::keys(kernel.layout).hasConstantScale() +
         CacheSide::values(kernel.layout).hasConstantScale() + kernel.alibiSlopes +
         kernel.sinkLogits + kernel.treeMask + kernel.positions;
}

AttentionOperands AttentionOperands::from(const AttentionDeviceKernel &kernel, ValueRange a) {
  AttentionOperands in;
  size_t next = 0;
  for (Value *member : {&in.query, &in.pool, &in.table, &in.tableStride, &in.contextLengths,
                        &in.cuLengths, &in.layer, &in.scale})
    *member = a[next++];
  auto take = [&](bool isThere, Value &member) {
    if (isThere)
      member = a[next++];
  };
  take(kernel.softCap > 0, in.cap);
  take(CacheSide::keys(kernel.layout).hasConstantScale(), in.scales.keys);
  take(CacheSide::values(kernel.layout).hasConstantScale(), in.scales.values);
  take(kernel.alibiSlopes, in.slopes);
  take(kernel.sinkLogits, in.sinks);
  take(kernel.treeMask, in.tree);
  take(kernel.positions, in.positions);
  return in;
}

AttentionEmitter::AttentionEmitter(GPUKernelBuilder &builder, const AttentionDeviceKernel &kernel,
                                   const AttentionGeometry &geometry,
                                   const AttentionOperands &operands)
    : b(builder), kernel(kernel), layout(kernel.layout), geometry(geometry), in(operands) {
  int64_t numRows = geometry.rows(), threads = AttentionGeometry::kThreads;
  queries = b.workgroupBuffer(b.getF32Type(), numRows * layout.key_head_dim);
  weights = b.workgroupBuffer(b.getF32Type(), numRows * threads);
  reductions = b.workgroupBuffer(b.getF32Type(), numRows * b.numSubgroups());
  valueAddresses = b.workgroupBuffer(b.getIndexType(), threads);
  if (CacheSide::values(layout).storedGroups() > 0)
    valueScales = b.workgroupBuffer(b.getIndexType(), threads);
  thread = b.threadId();
}

//===--- The block's rows --------------------------------------------------------------------===//

/// The block's x counts the tiles of all sequences, one sequence after another.
void AttentionEmitter::findTile() {
  Value tile = b.blockId(gpu::Dimension::x);
  Value sequences = memref::DimOp::create(b, in.contextLengths, 0);
  Value size = b.index(geometry.tileTokens), none = b.index(0);
  SmallVector<Value> found =
      b.loop(none, sequences, 1, {none, none, none},
             [&](Value candidate, ValueRange carried) -> SmallVector<Value> {
               Value first = b.toIndex(b.load(in.cuLengths, candidate));
               Value last = b.toIndex(b.load(in.cuLengths, b.add(candidate, b.index(1))));
               Value padded = b.add(b.sub(last, first), b.index(geometry.tileTokens - 1));
               Value next = b.add(carried[0], b.div(padded, size));
               Value starts = b.compare(arith::CmpIPredicate::sge, tile, carried[0]);
               Value isHere = arith::AndIOp::create(b, starts, b.isLess(tile, next));
               return {next, b.select(isHere, candidate, carried[1]),
                       b.select(isHere, b.sub(tile, carried[0]), carried[2])};
             });
  hasTile = b.isLess(tile, found[0]);
  sequence = found[1];
  chunk = found[2];
}

void AttentionEmitter::makeRows() {
  Value first = b.toIndex(b.load(in.cuLengths, sequence));
  Value last = b.toIndex(b.load(in.cuLengths, b.add(sequence, b.index(1))));
  firstToken = b.add(first, b.mul(chunk, b.index(geometry.tileTokens)));
  lastToken = b.sub(last, b.index(1));
  context = b.toIndex(b.load(in.contextLengths, sequence));
  stepSize = b.sub(last, first);
  stepBegin = b.sub(context, stepSize);
  Value y = b.blockId(gpu::Dimension::y);
  kvHead = b.div(y, b.index(geometry.groupParts));
  part = b.rem(y, b.index(geometry.groupParts));
  Value groupHead = b.mul(kvHead, b.index(kernel.groupSize()));
  Value partHead = b.mul(part, b.index(geometry.groupRows));
  Value lastOfGroup = b.index(kernel.groupSize() - 1);
  rows.clear();
  for (int64_t token = 0; token < geometry.tileTokens; ++token)
    for (int64_t head = 0; head < geometry.groupRows; ++head) {
      Value at = b.add(firstToken, b.index(token)), inGroup = b.add(partHead, b.index(head));
      Row row;
      row.exists =
          arith::AndIOp::create(b, b.compare(arith::CmpIPredicate::sle, at, lastToken),
                                b.compare(arith::CmpIPredicate::sle, inGroup, lastOfGroup));
      // A row that does not exist computes what its neighbour does.
      row.token = b.minimum(at, lastToken);
      row.head = b.add(groupHead, b.minimum(inGroup, lastOfGroup));
      row.visible = b.sub(b.add(context, row.token), lastToken);
      row.position = in.positions ? b.toIndex(b.load(in.positions, row.token))
                                  : b.sub(row.visible, b.index(1));
      if (in.slopes)
        row.slope = b.mul(b.load(in.slopes, row.head), b.f32(llvm::numbers::log2e));
      if (in.tree)
        row.tree = b.load(in.tree, row.token);
      rows.push_back(row);
    }
  firstPosition = rows.front().position;
  if (in.positions) // Of a tree's tokens a later one may stand before an earlier one.
    for (const Row &row : rows)
      firstPosition = b.minimum(firstPosition, row.position);
  lastVisible = rows.back().visible;
}

void AttentionEmitter::loadQueries() {
  int64_t channels = layout.key_head_dim;
  for (auto [number, row] : llvm::enumerate(rows)) {
    Value from = b.add(b.mul(row.token, b.index(kernel.heads)), row.head);
    from = b.mul(from, b.index(channels));
    Value to = b.index(static_cast<int64_t>(number) * channels);
    b.forMine(b.index(channels), [&](Value c) {
      b.store(b.extend(b.load(in.query, b.add(from, c))), queries, b.add(to, c));
    });
  }
  b.barrier();
}

void AttentionEmitter::forTile(llvm::function_ref<void()> body) {
  findTile();
  b.ifThen(hasTile, [&] {
    makeRows();
    cache.emplace(b, layout, in.pool, in.layer, kvHead, in.scales);
    loadQueries();
    body();
  });
}

//===--- One split ---------------------------------------------------------------------------===//

SoftmaxState AttentionEmitter::emptyState() {
  return SoftmaxState::empty(b, geometry.rows(), geometry.channelsPerThread);
}

SoftmaxState AttentionEmitter::emitSplit(Value begin, Value end) {
  SmallVector<Value> results =
      b.loop(begin, end, AttentionGeometry::kThreads, emptyState().flatten(),
             [&](Value start, ValueRange carried) -> SmallVector<Value> {
               SoftmaxState state = SoftmaxState::unflatten(carried, geometry.rows());
               if (layout.window == 0) {
                 emitPartition(state, start, end);
                 return state.flatten();
               }
               // All threads agree.
               Value last = b.add(start, b.index(AttentionGeometry::kThreads - 1));
               return b.ifThenElse(mayBeSeen(start, last), carried, [&] {
                 emitPartition(state, start, end);
                 return state.flatten();
               });
             });
  SoftmaxState state = SoftmaxState::unflatten(results, geometry.rows());
  state.totals =
      b.reduceBlock(state.totals, reductions, [&](Value x, Value y) { return b.add(x, y); });
  combinePhases(state);
  b.barrier();
  return state;
}

//===--- Which keys a row sees, and their scores ---------------------------------------------===//

/// Whether a row at `position` has a key among the window's last ones.
Value AttentionEmitter::isInWindow(Value position, Value keyPosition) {
  return b.isLess(position, b.add(keyPosition, b.index(layout.window)));
}

/// Whether the window of some row, or the first positions, may hold a key of [first, last].
Value AttentionEmitter::mayBeSeen(Value first, Value last) {
  Value isSeen = isInWindow(firstPosition, last);
  if (layout.num_sinks > 0)
    isSeen = arith::OrIOp::create(b, isSeen, b.isLess(first, b.index(layout.num_sinks)));
  if (in.positions) // This step's tokens stand anywhere.
    isSeen = arith::OrIOp::create(b, isSeen, b.compare(arith::CmpIPredicate::sge, last, stepBegin));
  return isSeen;
}

/// The position of the key at a place in the cache: another one only for this step's tokens.
Value AttentionEmitter::emitKeyPosition(Value place) {
  if (!in.positions)
    return place;
  Value inStep = b.sub(place, stepBegin);
  Value token = b.minimum(b.maximum(inStep, b.index(0)), b.sub(stepSize, b.index(1)));
  token = b.add(b.sub(b.add(lastToken, b.index(1)), stepSize), token);
  return b.select(b.isLess(inStep, b.index(0)), place, b.toIndex(b.load(in.positions, token)));
}

Value AttentionEmitter::emitSees(const Row &row, Value place, Value keyPosition, Value end) {
  auto both = [&](Value x, Value y) -> Value { return arith::AndIOp::create(b, x, y); };
  auto either = [&](Value x, Value y) -> Value { return arith::OrIOp::create(b, x, y); };
  Value sees = b.isLess(place, b.minimum(row.visible, end));
  if (layout.window > 0) {
    Value near = isInWindow(row.position, keyPosition);
    if (layout.num_sinks > 0)
      near = either(near, b.isLess(keyPosition, b.index(layout.num_sinks)));
    sees = both(sees, near);
  }
  if (row.tree) {
    // A bit for each of the step's tokens, of which there are at most 64.
    Value inStep = b.sub(place, stepBegin);
    Value bit = b.minimum(b.maximum(inStep, b.index(0)), b.index(63));
    bit = arith::IndexCastOp::create(b, b.getI64Type(), bit);
    Value isSet =
        arith::TruncIOp::create(b, b.getI1Type(), arith::ShRUIOp::create(b, row.tree, bit));
    sees = both(sees, either(b.isLess(inStep, b.index(0)), isSet));
  }
  return sees;
}

/// The score of a dot product, in units of log2.
Value AttentionEmitter::modifyScore(const Row &row, Value product, Value keyPosition) {
  Value score = b.mul(product, in.scale);
  if (in.cap)
    score = b.mul(b.tanh(score), in.cap);
  if (row.slope) {
    Value distance = b.sub(keyPosition, row.position);
    distance = arith::SIToFPOp::create(b, b.getF32Type(), b.toI32(distance));
    score = b.fma(row.slope, distance, score);
  }
  return score;
}

/// Adds the keys from `start`, one a thread, to the state. Totals are the thread's own.
void AttentionEmitter::emitPartition(SoftmaxState &state, Value start, Value end) {
  Value place = b.add(start, thread), keyPosition = emitKeyPosition(place);
  // Threads past the end read the last key and give it no weight. Those before the window, whose
  // block may be another sequence's by now, read the key of the tile's last token.
  Value readable = b.minimum(place, b.sub(end, b.index(1)));
  if (layout.window > 0)
    readable = b.select(mayBeSeen(place, place), readable, b.sub(lastVisible, b.index(1)));
  Value entry = b.div(readable, b.index(layout.block_size));
  Value inBlock = b.rem(readable, b.index(layout.block_size));
  entry = b.add(b.mul(sequence, in.tableStride), entry);
  Value block = b.toIndex(b.load(in.table, entry));
  DeviceCacheSide::Token value = cache->values.at(block, inBlock);
  b.store(value.elements, valueAddresses, thread);
  if (value.scales)
    b.store(value.scales, valueScales, thread);

  SmallVector<Value> scores = emitScores(cache->keys.at(block, inBlock));
  SmallVector<Value> sees;
  for (auto [score, row] : llvm::zip_equal(scores, rows)) {
    sees.push_back(emitSees(row, place, keyPosition, end));
    score = b.select(sees.back(), modifyScore(row, score, keyPosition), b.f32(kNoScore));
  }
  SmallVector<Value> maxima =
      b.reduceBlock(scores, reductions, [&](Value x, Value y) { return b.maximum(x, y); });
  for (size_t row = 0; row < rows.size(); ++row) {
    Value largest = b.maximum(state.maxima[row], maxima[row]);
    Value rescale = b.exp2(b.sub(state.maxima[row], largest));
    Value weight = b.select(sees[row], b.exp2(b.sub(scores[row], largest)), b.f32(0.0));
    b.store(weight, weights, weightAt(row, thread));
    state.maxima[row] = largest;
    state.totals[row] = b.fma(state.totals[row], rescale, weight);
    for (int64_t i = 0; i < geometry.channelsPerThread; ++i) {
      Value &sum = state.sums[row * geometry.channelsPerThread + i];
      sum = b.mul(sum, rescale);
    }
  }
  b.barrier();
  emitValues(state, b.minimum(b.sub(end, start), b.index(AttentionGeometry::kThreads)));
  b.barrier();
}

/// The products of one key with the queries of all rows.
SmallVector<Value> AttentionEmitter::emitScores(const DeviceCacheSide::Token &key) {
  SmallVector<Value> zeros(rows.size(), b.f32(0.0));
  int64_t channels = layout.key_head_dim;
  return b.loop(b.index(0), b.index(channels), 1, zeros,
                [&](Value channel, ValueRange carried) -> SmallVector<Value> {
                  SmallVector<Value> sums(carried);
                  Value element = cache->keys.load(key, channel);
                  for (auto [row, sum] : llvm::enumerate(sums)) {
                    Value from = b.index(static_cast<int64_t>(row) * channels);
                    sum = b.fma(b.load(queries, b.add(from, channel)), element, sum);
                  }
                  return sums;
                });
}

Value AttentionEmitter::weightAt(size_t row, Value key) {
  return b.add(b.index(static_cast<int64_t>(row) * AttentionGeometry::kThreads), key);
}

/// Adds the values of `count` keys, weighted, to the thread's channels.
void AttentionEmitter::emitValues(SoftmaxState &state, Value count) {
  Value first = b.index(0), limit = count;
  if (geometry.phases > 1) {
    // Threads beyond the last whole set of channels have none.
    first = b.div(thread, b.index(layout.value_head_dim));
    limit = b.select(b.isLess(first, b.index(geometry.phases)), count, b.index(0));
  }
  state.sums = b.loop(first, limit, geometry.phases, state.sums,
                      [&](Value key, ValueRange carried) -> SmallVector<Value> {
                        SmallVector<Value> sums(carried), loaded;
                        DeviceCacheSide::Token value{b.load(valueAddresses, key), Value()};
                        if (valueScales)
                          value.scales = b.load(valueScales, key);
                        for (int64_t i = 0; i < geometry.channelsPerThread; ++i) {
                          Value readable =
                              b.minimum(channel(i), b.index(layout.value_head_dim - 1));
                          loaded.push_back(cache->values.load(value, readable));
                        }
                        for (size_t row = 0; row < rows.size(); ++row) {
                          Value weight = b.load(weights, weightAt(row, key));
                          for (auto [i, value] : llvm::enumerate(loaded)) {
                            Value &sum = sums[row * geometry.channelsPerThread + i];
                            sum = b.fma(weight, value, sum);
                          }
                        }
                        return sums;
                      });
}

/// Adds up the sums of the threads that share a channel, in order.
void AttentionEmitter::combinePhases(SoftmaxState &state) {
  if (geometry.phases == 1)
    return;
  for (size_t row = 0; row < rows.size(); ++row)
    b.store(state.sums[row], weights, weightAt(row, thread));
  b.barrier();
  for (size_t row = 0; row < rows.size(); ++row) {
    Value total = b.load(weights, weightAt(row, channel(0)));
    for (int64_t phase = 1; phase < geometry.phases; ++phase) {
      Value other = b.add(channel(0), b.index(phase * layout.value_head_dim));
      total = b.add(total, b.load(weights, weightAt(row, other)));
    }
    state.sums[row] = total;
  }
}

Value addSink(GPUKernelBuilder &b, Value sink, Value &maximum, Value &total) {
  Value largest = b.maximum(maximum, sink);
  Value rescale = b.exp2(b.sub(maximum, largest));
  total = b.fma(total, rescale, b.exp2(b.sub(sink, largest)));
  maximum = largest;
  return rescale;
}

//===--- Results -----------------------------------------------------------------------------===//

Value AttentionEmitter::channel(size_t part) {
  if (geometry.phases > 1)
    return b.rem(thread, b.index(layout.value_head_dim));
  return b.add(thread, b.index(static_cast<int64_t>(part) * AttentionGeometry::kThreads));
}

Value AttentionEmitter::ownsChannel(size_t part) {
  Value own = b.add(thread, b.index(static_cast<int64_t>(part) * AttentionGeometry::kThreads));
  return b.isLess(own, b.index(layout.value_head_dim));
}

void AttentionEmitter::forOwnedChannels(llvm::function_ref<void(const RowChannel &)> body) {
  for (auto [number, row] : llvm::enumerate(rows))
    for (int64_t i = 0; i < geometry.channelsPerThread; ++i) {
      auto part = static_cast<size_t>(i);
      Value writes = arith::AndIOp::create(b, row.exists, ownsChannel(part));
      b.ifThen(writes, [&, number = number, row = row] {
        body({number, part, row.token, row.head, channel(part)});
      });
    }
}

} // namespace mlir::llm
