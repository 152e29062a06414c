// Packing and register tiles of dense attention: see DenseAttentionTiles.h.

#include "DenseAttentionTiles.h"

#include "AttentionState.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

Value DenseEmitter::atScratch(int64_t base, Value row, int64_t stride, Value column) {
  Value index = b.add(b.mul(row, b.index(stride)), b.index(base));
  return column ? b.add(index, column) : index;
}

void DenseEmitter::forEachChunk(Value rows, llvm::function_ref<void(Value, int64_t)> body) {
  Value from = b.index(0);
  for (int64_t count = tiling.chunkRows;; count /= 2) {
    Value whole = b.mul(b.div(b.sub(rows, from), b.index(count)), b.index(count));
    Value to = b.add(from, whole);
    b.loop(from, to, count, [&](Value row) { body(row, count); });
    from = to;
    if (count == 1)
      return;
  }
}

//===--- Packing ------------------------------------------------------------------------------===//

void DenseEmitter::packQuery(const DenseTask &task, Value query, Value row, Value rows) {
  Value firstHead = b.mul(task.head, b.index(kernel.group()));
  Value factor = b.f32(kernel.scale);
  b.loop(b.index(0), rows, 1, [&](Value i) {
    Value own = b.add(b.add(task.rowBegin, row), i);
    Value from = b.add(task.queryBegin, b.div(own, b.index(kernel.group())));
    Value head = b.add(firstHead, b.rem(own, b.index(kernel.group())));
    Value column = b.mul(head, b.index(kernel.keyDim));
    auto copy = [&](Value channel, int64_t width) {
      Value vector = b.extend(b.loadVector(query, {from, b.add(column, channel)}, width));
      b.storeVector(b.mul(vector, b.broadcast(factor, width)), scratch,
                    atScratch(tiling.query, i, kernel.keyDim, channel));
    };
    int64_t whole = kernel.keyDim / tiling.lanes * tiling.lanes;
    b.loop(b.index(0), b.index(whole), tiling.lanes,
           [&](Value channel) { copy(channel, tiling.lanes); });
    for (auto [from, width] : splitLanes(kernel.keyDim - whole, tiling.lanes))
      copy(b.index(whole + from), width);
    b.loop(b.index(0), b.index(tiling.valueStride), tiling.lanes, [&](Value channel) {
      b.storeVector(b.splatF32(0.0, tiling.lanes), scratch,
                    atScratch(tiling.sums, i, tiling.valueStride, channel));
    });
  });
}

/// Transposes as many vectors as they have lanes: a multiple of 4. First within 128 bits, as x86
/// shuffles do, then blocks of 128 bits.
static SmallVector<Value> transpose(KernelBuilder &b, SmallVector<Value> rows) {
  auto lanes = static_cast<int64_t>(rows.size());
  auto shuffle = [&](Value x, Value y, llvm::function_ref<int64_t(int64_t)> laneOf) {
    SmallVector<int64_t> mask;
    for (int64_t lane = 0; lane < lanes; ++lane)
      mask.push_back(laneOf(lane));
    return vector::ShuffleOp::create(b, x, y, mask).getResult();
  };
  for (int64_t first = 0; first < lanes; first += 4) {
    Value *row = &rows[first];
    // Of two rows, the lanes `from` and `from` + 1 of each 128 bits by turns.
    auto interleave = [&](Value x, Value y, int64_t from) {
      return shuffle(x, y, [&](int64_t lane) {
        return lane / 4 * 4 + from + lane % 4 / 2 + (lane % 2) * lanes;
      });
    };
    // Of two rows, the pair of lanes from `from` on of each 128 bits, one after the other.
    auto join = [&](Value x, Value y, int64_t from) {
      return shuffle(x, y, [&](int64_t lane) {
        return lane / 4 * 4 + from + lane % 2 + (lane % 4 / 2) * lanes;
      });
    };
    Value low01 = interleave(row[0], row[1], 0), high01 = interleave(row[0], row[1], 2);
    Value low23 = interleave(row[2], row[3], 0), high23 = interleave(row[2], row[3], 2);
    row[0] = join(low01, low23, 0);
    row[1] = join(low01, low23, 2);
    row[2] = join(high01, high23, 0);
    row[3] = join(high01, high23, 2);
  }
  for (int64_t step = 4; step < lanes; step *= 2)
    for (int64_t i = 0; i < lanes; ++i) {
      if (i & step)
        continue;
      Value x = rows[i], y = rows[i + step];
      rows[i] =
          shuffle(x, y, [&](int64_t lane) { return lane & step ? lane - step + lanes : lane; });
      rows[i + step] =
          shuffle(x, y, [&](int64_t lane) { return lane & step ? lane + lanes : lane + step; });
    }
  return rows;
}

void DenseEmitter::packKeys(Value keys, Value firstRow, Value valid, Value head) {
  int64_t lanes = tiling.lanes;
  Value column = b.mul(head, b.index(kernel.keyDim));
  Value last = b.sub(valid, b.index(1));
  b.loop(b.index(0), valid, lanes, [&](Value key) {
    // Behind the last key there may be no memory: its copies are never seen.
    SmallVector<Value> rows;
    for (int64_t i = 0; i < lanes; ++i)
      rows.push_back(b.add(firstRow, b.minimum(b.add(key, b.index(i)), last)));
    int64_t whole = kernel.keyDim / lanes * lanes;
    b.loop(b.index(0), b.index(whole), lanes, [&](Value channel) {
      SmallVector<Value> vectors;
      for (Value row : rows)
        vectors.push_back(b.extend(b.loadVector(keys, {row, b.add(column, channel)}, lanes)));
      for (auto [i, vector] : llvm::enumerate(transpose(b, vectors)))
        b.storeVector(
            vector, scratch,
            atScratch(tiling.packedKeys, b.add(channel, b.index(i)), tiling.tileKeys, key));
    });
    b.loop(b.index(whole), b.index(kernel.keyDim), 1, [&](Value channel) {
      for (auto [i, row] : llvm::enumerate(rows))
        b.store(b.extend(b.load(keys, {row, b.add(column, channel)})), scratch,
                atScratch(tiling.packedKeys, channel, tiling.tileKeys, b.add(key, b.index(i))));
    });
  });
}

void DenseEmitter::packValues(Value values, Value firstRow, Value valid, Value head) {
  int64_t lanes = tiling.lanes;
  Value column = b.mul(head, b.index(kernel.valueDim));
  int64_t whole = kernel.valueDim / lanes * lanes;
  b.loop(b.index(0), valid, 1, [&](Value key) {
    Value row = b.add(firstRow, key);
    auto copy = [&](Value channel, int64_t width) {
      Value vector = b.extend(b.loadVector(values, {row, b.add(column, channel)}, width));
      b.storeVector(vector, scratch,
                    atScratch(tiling.packedValues, key, tiling.valueStride, channel));
    };
    b.loop(b.index(0), b.index(whole), lanes, [&](Value channel) { copy(channel, lanes); });
    if (whole == kernel.valueDim)
      return;
    b.storeVector(b.splatF32(0.0, lanes), scratch,
                  atScratch(tiling.packedValues, key, tiling.valueStride, b.index(whole)));
    for (auto [from, width] : splitLanes(kernel.valueDim - whole, lanes))
      copy(b.index(whole + from), width);
  });
  Value step = b.index(kProductKeys);
  Value end = b.mul(b.div(b.add(valid, b.index(kProductKeys - 1)), step), step);
  b.loop(valid, end, 1, [&](Value key) {
    b.loop(b.index(0), b.index(tiling.valueStride), lanes, [&](Value channel) {
      b.storeVector(b.splatF32(0.0, lanes), scratch,
                    atScratch(tiling.packedValues, key, tiling.valueStride, channel));
    });
  });
}

void DenseEmitter::writeOutput(const DenseTask &task, Value output, Value row, Value rows,
                               const DenseRowStates &states, Value sinks, Value sinkOffset) {
  int64_t lanes = tiling.lanes;
  Type element = kernel.output.getElementType();
  Value firstHead = b.mul(task.head, b.index(kernel.group()));
  auto exp = [&](Value x) { return b.firstLane(b.exp(b.broadcast(x, 4))); };
  b.loop(b.index(0), rows, 1, [&](Value i) {
    Value own = b.add(b.add(task.rowBegin, row), i);
    Value token = b.add(task.queryBegin, b.div(own, b.index(kernel.group())));
    Value head = b.add(firstHead, b.rem(own, b.index(kernel.group())));
    Value total = b.sumLanes(b.loadVector(states.memory, at(states, i, 0), lanes));
    Value factor = b.f32(1.0);
    if (sinks) {
      // A sink has a weight and no value.
      Value maximum = b.load(states.memory, at(states, i, lanes));
      Value bytes = b.add(sinkOffset, b.mul(head, b.index(4)));
      Value sink = b.firstLane(b.loadBytes(sinks, bytes, b.getF32Type(), 1));
      Value larger = b.maximum(maximum, sink);
      factor = exp(b.sub(maximum, larger));
      total = b.fma(total, factor, exp(b.sub(sink, larger)));
    }
    // Not "greater than": a NaN is to reach the output.
    Value isEmpty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, total, b.f32(0.0));
    Value inverse = b.select(isEmpty, b.f32(0.0), b.div(factor, total));
    Value column = b.mul(head, b.index(kernel.valueDim));
    auto write = [&](Value channel, int64_t width) {
      Value sum =
          b.loadVector(scratch, atScratch(tiling.sums, i, tiling.valueStride, channel), width);
      Value scaled = b.mul(sum, b.broadcast(inverse, width));
      b.storeVector(b.truncate(scaled, element), output, {token, b.add(column, channel)});
    };
    int64_t whole = kernel.valueDim / lanes * lanes;
    b.loop(b.index(0), b.index(whole), lanes, [&](Value channel) { write(channel, lanes); });
    for (auto [from, width] : splitLanes(kernel.valueDim - whole, lanes))
      write(b.index(whole + from), width);
  });
}

//===--- Register tiles -----------------------------------------------------------------------===//

void DenseEmitter::emitScores(const DenseTile &tile, int64_t count, Value columns,
                              const DenseMatrix &scores) {
  int64_t lanes = tiling.lanes, vectors = tiling.vectors;
  int64_t unroll = kernel.keyDim % 4 == 0 ? 4 : 1;
  SmallVector<Value> zeros(count * vectors, b.splatF32(0.0, lanes));
  b.loop(b.index(0), columns, vectors * lanes, [&](Value column) {
    SmallVector<Value> sums = b.loop(
        b.index(0), b.index(kernel.keyDim), unroll, zeros,
        [&](Value first, ValueRange carried) -> SmallVector<Value> {
          SmallVector<Value> sums(carried);
          for (int64_t step = 0; step < unroll; ++step) {
            Value channel = b.add(first, b.index(step));
            SmallVector<Value> keys;
            for (int64_t v = 0; v < vectors; ++v)
              keys.push_back(b.loadVector(scratch,
                                          atScratch(tiling.packedKeys, channel, tiling.tileKeys,
                                                    b.add(column, b.index(v * lanes))),
                                          lanes));
            for (int64_t i = 0; i < count; ++i) {
              Value row = b.add(tile.row, b.index(i));
              Value query = b.loadBroadcast(
                  scratch, atScratch(tiling.query, row, kernel.keyDim, channel), lanes);
              for (int64_t v = 0; v < vectors; ++v)
                sums[i * vectors + v] = b.fma(query, keys[v], sums[i * vectors + v]);
            }
          }
          return sums;
        });
    for (int64_t i = 0; i < count; ++i)
      for (int64_t v = 0; v < vectors; ++v)
        b.storeVector(sums[i * vectors + v], scores.memory,
                      b.add(at(scores, b.index(i), v * lanes), column));
  });
}

void DenseEmitter::emitProduct(const DenseTile &tile, int64_t count, Value keys,
                               const DenseMatrix &weights, bool rescales) {
  int64_t lanes = tiling.lanes;
  Value step = b.index(kProductKeys);
  Value end = b.mul(b.div(b.add(keys, b.index(kProductKeys - 1)), step), step);
  auto emitPass = [&](Value channel, int64_t vectors) {
    auto sumAt = [&](int64_t i, int64_t v) {
      return atScratch(tiling.sums, b.add(tile.row, b.index(i)), tiling.valueStride,
                       b.add(channel, b.index(v * lanes)));
    };
    SmallVector<Value> initial;
    for (int64_t i = 0; i < count; ++i)
      for (int64_t v = 0; v < vectors; ++v) {
        Value sum = b.loadVector(scratch, sumAt(i, v), lanes);
        if (rescales)
          sum = b.mul(sum, b.loadBroadcast(scratch, b.index(tiling.rescale + i), lanes));
        initial.push_back(sum);
      }
    SmallVector<Value> sums = b.loop(
        b.index(0), end, kProductKeys, initial,
        [&](Value first, ValueRange carried) -> SmallVector<Value> {
          SmallVector<Value> sums(carried);
          for (int64_t step = 0; step < kProductKeys; ++step) {
            Value key = b.add(first, b.index(step));
            SmallVector<Value> values;
            for (int64_t v = 0; v < vectors; ++v)
              values.push_back(b.loadVector(scratch,
                                            atScratch(tiling.packedValues, key, tiling.valueStride,
                                                      b.add(channel, b.index(v * lanes))),
                                            lanes));
            for (int64_t i = 0; i < count; ++i) {
              Value weight =
                  b.loadBroadcast(weights.memory, b.add(at(weights, b.index(i), 0), key), lanes);
              for (int64_t v = 0; v < vectors; ++v)
                sums[i * vectors + v] = b.fma(weight, values[v], sums[i * vectors + v]);
            }
          }
          return sums;
        });
    for (int64_t i = 0; i < count; ++i)
      for (int64_t v = 0; v < vectors; ++v)
        b.storeVector(sums[i * vectors + v], scratch, sumAt(i, v));
  };
  int64_t pass = tiling.vectors * lanes;
  int64_t whole = tiling.valueStride / pass * pass;
  b.loop(b.index(0), b.index(whole), pass,
         [&](Value channel) { emitPass(channel, tiling.vectors); });
  if (whole < tiling.valueStride)
    emitPass(b.index(whole), (tiling.valueStride - whole) / lanes);
}

//===--- Functions ----------------------------------------------------------------------------===//

using PackBody = void (DenseEmitter::*)(Value, Value, Value, Value);

static func::FuncOp getPack(KernelLibrary &library, const DenseAttentionKernel &kernel,
                            const char *suffix, MemRefType rows, PackBody pack) {
  Type index = library.indexType();
  Type floats = library.vectorType(Float32Type::get(library.context()));
  return library.getOrCreate(kernel.name() + suffix, {floats, rows, index, index, index},
                             [&](KernelBuilder &builder, ValueRange arguments) {
                               DenseEmitter emitter(builder, library, kernel, arguments[0]);
                               (emitter.*pack)(arguments[1], arguments[2], arguments[3],
                                               arguments[4]);
                             });
}

func::FuncOp getPackKeys(KernelLibrary &library, const DenseAttentionKernel &kernel) {
  return getPack(library, kernel, "_keys", kernel.keys, &DenseEmitter::packKeys);
}

func::FuncOp getPackValues(KernelLibrary &library, const DenseAttentionKernel &kernel) {
  return getPack(library, kernel, "_values", kernel.values, &DenseEmitter::packValues);
}

} // namespace mlir::llm
