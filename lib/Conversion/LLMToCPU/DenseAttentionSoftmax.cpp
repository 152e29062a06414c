// Which keys a row of dense attention sees, and its softmax weights: see DenseAttentionTiles.h. A
// key that is not seen has a score of minus infinity and a weight of exactly 0; a row that sees
// none of a tile is rescaled by exactly 1, so its bytes do not depend on the rows beside it. NaN
// scores stay NaN.

#include "DenseAttentionTiles.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

#include <limits>

namespace mlir::llm {

static constexpr double kUnseen = -std::numeric_limits<double>::infinity();

using Predicate = arith::CmpIPredicate;

static Value both(KernelBuilder &b, Value x, Value y) { return arith::AndIOp::create(b, x, y); }
static Value either(KernelBuilder &b, Value x, Value y) { return arith::OrIOp::create(b, x, y); }

static Value isUnseen(KernelBuilder &b, Value score) {
  auto vector = dyn_cast<VectorType>(score.getType());
  Value unseen = vector ? b.splatF32(kUnseen, vector.getDimSize(0)) : b.f32(kUnseen);
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, score, unseen);
}

Value DenseEmitter::at(const DenseMatrix &matrix, Value row, int64_t column) {
  return b.add(b.add(matrix.offset, b.mul(row, matrix.stride)), b.index(column));
}

//===--- Masks --------------------------------------------------------------------------------===//

/// The position of the tile's row number `row`.
Value DenseEmitter::emitPosition(const DenseTile &tile, Value row) {
  return b.add(tile.shift, b.div(b.add(tile.ownRow, row), b.index(kernel.group())));
}

DenseView DenseEmitter::emitView(const DenseTile &tile, int64_t count) {
  Value first = emitPosition(tile, b.index(0)), last = emitPosition(tile, b.index(count - 1));
  Value end = b.add(tile.firstKey, b.index(tiling.tileKeys));
  DenseView view;
  view.keys = tile.valid;
  view.isFull = b.compare(Predicate::eq, tile.valid, b.index(tiling.tileKeys));
  if (kernel.causal) {
    Value visible = b.sub(b.add(last, b.index(1)), tile.firstKey);
    view.keys = b.minimum(view.keys, b.maximum(visible, b.index(0)));
    view.isFull = both(b, view.isFull, b.compare(Predicate::sle, end, b.add(first, b.index(1))));
  }
  view.isSeen = b.compare(Predicate::sgt, view.keys, b.index(0));
  if (kernel.window > 0) {
    Value window = b.index(kernel.window);
    Value isNear = b.compare(Predicate::sgt, end, b.sub(b.add(first, b.index(1)), window));
    if (kernel.numSinks > 0)
      isNear =
          either(b, isNear, b.compare(Predicate::slt, tile.firstKey, b.index(kernel.numSinks)));
    view.isSeen = both(b, view.isSeen, isNear);
    view.isFull =
        both(b, view.isFull, b.compare(Predicate::sgt, tile.firstKey, b.sub(last, window)));
  }
  if (kernel.mask != MaskKind::None)
    view.isFull = arith::ConstantOp::create(b, b.getBoolAttr(false));
  return view;
}

void DenseEmitter::forEachSeenTile(const DenseTask &task,
                                   llvm::function_ref<void(Value, Value, Value)> body) {
  Value group = b.index(kernel.group());
  Value lastRow = b.sub(b.add(task.rowBegin, task.rows), b.index(1));
  Value first = b.add(task.shift, b.div(task.rowBegin, group));
  Value last = b.add(task.shift, b.div(lastRow, group));
  Value end = task.keys;
  if (kernel.skipsTiles() && kernel.causal)
    end = b.minimum(end, b.maximum(b.add(last, b.index(1)), b.index(0)));
  Value size = b.index(tiling.tileKeys);
  b.loop(b.index(0), end, tiling.tileKeys, {b.index(0)},
         [&](Value firstKey, ValueRange carried) -> SmallVector<Value> {
           Value column = carried[0], next = b.add(column, size);
           Value valid = b.minimum(b.sub(task.keys, firstKey), size);
           if (!kernel.skipsTiles() || kernel.window == 0) {
             body(firstKey, valid, column);
             return {next};
           }
           Value begin = b.sub(b.add(first, b.index(1)), b.index(kernel.window));
           Value isSeen = b.compare(Predicate::sgt, b.add(firstKey, size), begin);
           if (kernel.numSinks > 0)
             isSeen =
                 either(b, isSeen, b.compare(Predicate::slt, firstKey, b.index(kernel.numSinks)));
           b.ifThen(isSeen, [&] { body(firstKey, valid, column); });
           return {b.select(isSeen, next, column)};
         });
}

Value DenseEmitter::emitIota(int64_t from) {
  SmallVector<int32_t> numbers;
  for (int64_t lane = 0; lane < tiling.lanes; ++lane)
    numbers.push_back(static_cast<int32_t>(from + lane));
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(b.vectorOf(b.getI32Type(), tiling.lanes), ArrayRef(numbers)));
}

DenseEmitter::RowMask DenseEmitter::emitRowMask(const DenseTile &tile, Value row) {
  RowMask mask;
  Value position = emitPosition(tile, row);
  Value limit = tile.valid;
  if (kernel.causal)
    limit = b.minimum(limit, b.sub(b.add(position, b.index(1)), tile.firstKey));
  mask.limit = b.toI32(limit);
  if (kernel.window > 0) {
    Value begin = b.sub(b.sub(b.add(position, b.index(1)), b.index(kernel.window)), tile.firstKey);
    mask.windowBegin = b.toI32(begin);
    if (kernel.numSinks > 0)
      mask.sinksEnd = b.toI32(b.sub(b.index(kernel.numSinks), tile.firstKey));
  }
  return mask;
}

void DenseEmitter::emitBias(const DenseTile &tile, Value row) {
  bool isBoolean = kernel.mask == MaskKind::Boolean;
  int64_t size = isBoolean ? 1 : 4, lanes = tiling.lanes;
  Value own = b.add(tile.ownRow, row);
  Value token = b.div(own, b.index(kernel.group()));
  Value head =
      b.add(b.mul(tile.head, b.index(kernel.group())), b.rem(own, b.index(kernel.group())));
  Value from = b.add(tile.mask.offset, b.mul(head, tile.mask.headStride));
  from = b.add(b.add(from, b.mul(token, tile.mask.rowStride)), tile.firstKey);
  auto copy = [&](Value key, int64_t width) {
    Value offset = b.mul(b.add(from, key), b.index(size));
    Type element = isBoolean ? Type(b.getI8Type()) : Type(b.getF32Type());
    Value bias = b.loadBytes(tile.mask.bytes, offset, element, width);
    if (isBoolean) {
      Value isSeen =
          b.compare(Predicate::ne, bias, b.splatInt(0, cast<VectorType>(bias.getType())));
      bias = b.select(isSeen, b.splatF32(0.0, width), b.splatF32(kUnseen, width));
    }
    b.storeVector(bias, scratch, b.add(b.index(tiling.bias), key));
  };
  // The row of the mask ends with the keys.
  Value whole = b.mul(b.div(tile.valid, b.index(lanes)), b.index(lanes));
  b.loop(b.index(0), whole, lanes, [&](Value key) { copy(key, lanes); });
  b.loop(whole, tile.valid, 1, [&](Value key) { copy(key, 1); });
}

//===--- Scores -------------------------------------------------------------------------------===//

/// Soft cap and distance penalty of the scores of keys `from`... of the tile.
Value DenseEmitter::emitCapAndSlope(const DenseTile &tile, Value row, Value score, int64_t from) {
  int64_t lanes = tiling.lanes;
  if (kernel.softCap > 0) {
    Value scaled = b.mul(score, b.splatF32(1.0 / kernel.softCap, lanes));
    score = b.mul(b.tanh(scaled), b.splatF32(kernel.softCap, lanes));
  }
  if (!kernel.alibiSlopes.empty()) {
    Value first = b.toI32(b.sub(tile.firstKey, emitPosition(tile, row)));
    Value distance = b.add(emitIota(from), b.broadcast(first, lanes));
    Value numbers = arith::SIToFPOp::create(b, b.vectorOf(b.getF32Type(), lanes), distance);
    auto type = MemRefType::get({kernel.heads}, b.getF32Type());
    Value slopes = memref::GetGlobalOp::create(
        b, type, library.getOrCreateConstant("alibi_slopes", kernel.alibiSlopes));
    Value inGroup = b.rem(b.add(tile.ownRow, row), b.index(kernel.group()));
    Value slope = b.load(slopes, b.add(b.mul(tile.head, b.index(kernel.group())), inGroup));
    score = b.fma(b.broadcast(slope, lanes), numbers, score);
  }
  return score;
}

SmallVector<Value> DenseEmitter::loadScores(const DenseTile &tile, Value row, bool isMasked,
                                            const DenseMatrix &scores) {
  int64_t lanes = tiling.lanes;
  RowMask mask;
  if (isMasked) {
    mask = emitRowMask(tile, row);
    if (kernel.mask != MaskKind::None)
      emitBias(tile, row);
  }
  SmallVector<Value> result;
  for (int64_t from = 0; from < tiling.tileKeys; from += lanes) {
    Value score = b.loadVector(scores.memory, at(scores, row, from), lanes);
    score = emitCapAndSlope(tile, row, score, from);
    if (isMasked) {
      if (kernel.mask != MaskKind::None)
        score = b.add(score, b.loadVector(scratch, b.index(tiling.bias + from), lanes));
      Value iota = emitIota(from);
      Value isSeen = b.compare(Predicate::slt, iota, b.broadcast(mask.limit, lanes));
      if (mask.windowBegin) {
        Value isNear = b.compare(Predicate::sge, iota, b.broadcast(mask.windowBegin, lanes));
        if (mask.sinksEnd)
          isNear =
              either(b, isNear, b.compare(Predicate::slt, iota, b.broadcast(mask.sinksEnd, lanes)));
        isSeen = both(b, isSeen, isNear);
      }
      score = b.select(isSeen, score, b.splatF32(kUnseen, lanes));
    }
    result.push_back(score);
  }
  return result;
}

/// Sum or maximum, lane by lane, of as many vectors as a tile has.
Value DenseEmitter::reduce(ArrayRef<Value> vectors, bool isSum) {
  SmallVector<Value> rest(vectors);
  for (size_t step = 1; step < rest.size(); step *= 2)
    for (size_t i = 0; i + step < rest.size(); i += 2 * step)
      rest[i] = isSum ? b.add(rest[i], rest[i + step]) : b.maximum(rest[i], rest[i + step]);
  return rest[0];
}

//===--- Softmax ------------------------------------------------------------------------------===//

void DenseEmitter::clearStates(const DenseRowStates &states, Value rows) {
  b.loop(b.index(0), rows, 1, [&](Value row) {
    b.storeVector(b.splatF32(0.0, tiling.lanes), states.memory, at(states, row, 0));
    b.store(b.f32(kUnseen), states.memory, at(states, row, tiling.lanes));
  });
}

void DenseEmitter::emitOnlineSoftmax(const DenseTile &tile, int64_t count, bool isMasked,
                                     const DenseMatrix &scores, const DenseRowStates &states) {
  int64_t lanes = tiling.lanes;
  b.loop(b.index(0), b.index(count), 1, [&](Value row) {
    SmallVector<Value> vectors = loadScores(tile, row, isMasked, scores);
    Value old = b.load(states.memory, at(states, row, lanes));
    Value largest = b.maximum(old, b.maxLanes(reduce(vectors, /*isSum=*/false)));
    // Where nothing was seen yet, any finite number does.
    Value origin = isMasked ? b.select(isUnseen(b, largest), b.f32(0.0), largest) : largest;
    for (auto [i, score] : llvm::enumerate(vectors)) {
      Value weight = b.exp(b.sub(score, b.broadcast(origin, lanes)));
      if (isMasked)
        weight = b.select(isUnseen(b, score), b.splatF32(0.0, lanes), weight);
      score = weight;
      b.storeVector(weight, scores.memory, at(scores, row, static_cast<int64_t>(i) * lanes));
    }
    Value rescale = b.exp(b.broadcast(b.sub(old, origin), lanes));
    b.store(b.firstLane(rescale), scratch, b.add(b.index(tiling.rescale), row));
    Value total = b.loadVector(states.memory, at(states, row, 0), lanes);
    total = b.fma(total, rescale, reduce(vectors, /*isSum=*/true));
    b.storeVector(total, states.memory, at(states, row, 0));
    b.store(largest, states.memory, at(states, row, lanes));
  });
}

void DenseEmitter::emitMaskedScores(const DenseTile &tile, int64_t count, bool isMasked,
                                    const DenseMatrix &scores, const DenseRowStates &states,
                                    bool tracksMaximum) {
  int64_t lanes = tiling.lanes;
  bool isChanged = isMasked || kernel.softCap > 0 || !kernel.alibiSlopes.empty();
  if (!isChanged && !tracksMaximum)
    return;
  b.loop(b.index(0), b.index(count), 1, [&](Value row) {
    SmallVector<Value> vectors = loadScores(tile, row, isMasked, scores);
    if (isChanged)
      for (auto [i, score] : llvm::enumerate(vectors))
        b.storeVector(score, scores.memory, at(scores, row, static_cast<int64_t>(i) * lanes));
    if (!tracksMaximum)
      return;
    Value old = b.load(states.memory, at(states, row, lanes));
    Value largest = b.maximum(old, b.maxLanes(reduce(vectors, /*isSum=*/false)));
    b.store(largest, states.memory, at(states, row, lanes));
  });
}

void DenseEmitter::emitMaxima(int64_t count, const DenseMatrix &scores,
                              const DenseRowStates &states) {
  int64_t lanes = tiling.lanes;
  b.loop(b.index(0), b.index(count), 1, [&](Value row) {
    SmallVector<Value> vectors;
    for (int64_t from = 0; from < tiling.tileKeys; from += lanes)
      vectors.push_back(b.loadVector(scores.memory, at(scores, row, from), lanes));
    Value old = b.load(states.memory, at(states, row, lanes));
    Value largest = b.maximum(old, b.maxLanes(reduce(vectors, /*isSum=*/false)));
    b.store(largest, states.memory, at(states, row, lanes));
  });
}

void DenseEmitter::emitWeights(int64_t count, const DenseMatrix &scores,
                               const DenseRowStates &states) {
  int64_t lanes = tiling.lanes;
  b.loop(b.index(0), b.index(count), 1, [&](Value row) {
    Value largest = b.load(states.memory, at(states, row, lanes));
    Value origin = b.select(isUnseen(b, largest), b.f32(0.0), largest);
    SmallVector<Value> weights;
    for (int64_t from = 0; from < tiling.tileKeys; from += lanes) {
      Value score = b.loadVector(scores.memory, at(scores, row, from), lanes);
      Value weight = b.exp(b.sub(score, b.broadcast(origin, lanes)));
      weight = b.select(isUnseen(b, score), b.splatF32(0.0, lanes), weight);
      b.storeVector(weight, scores.memory, at(scores, row, from));
      weights.push_back(weight);
    }
    Value total = b.loadVector(states.memory, at(states, row, 0), lanes);
    b.storeVector(b.add(total, reduce(weights, /*isSum=*/true)), states.memory, at(states, row, 0));
  });
}

} // namespace mlir::llm
