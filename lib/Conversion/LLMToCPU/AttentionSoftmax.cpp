// The online softmax of a tile: which keys a row sees, what changes its scores (soft cap, distance
// penalty), and weights from scores, with each row's running maximum, total and rescale.

#include "AttentionSplit.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

/// Smaller than every score that counts.
static constexpr double kMaskedScore = -1.0e30;

namespace {
class SoftmaxEmitter {
public:
  SoftmaxEmitter(SplitContext &split, Value firstKey)
      : split(split), b(split.b), kernel(split.kernel), layout(split.layout), firstKey(firstKey),
        parts(splitLanes(split.tileKeys, split.lanes)) {}

  void emit() {
    // Whether all rows see all keys of the tile, which are all from before the step where that
    // matters.
    Value end = b.add(firstKey, b.index(split.tileKeys));
    Value isFull = b.compare(arith::CmpIPredicate::ule, end, split.visible);
    auto require = [&](arith::CmpIPredicate predicate, Value lhs, Value rhs) {
      isFull = arith::AndIOp::create(b, isFull, b.compare(predicate, lhs, rhs));
    };
    if (split.treeBegin)
      require(arith::CmpIPredicate::ule, end, split.treeBegin);
    if (split.positionBegin)
      require(arith::CmpIPredicate::ule, end, split.positionBegin);
    if (split.windowBegin)
      require(arith::CmpIPredicate::uge, firstKey, split.lastWindowBegin);
    b.ifThen(
        isFull, [&] { emitRows(/*isMasked=*/false); },
        [&] {
          if (split.positionBegin)
            emitKeyPositions();
          emitRows(/*isMasked=*/true);
        });
  }

private:
  Value iota(Part part) {
    SmallVector<int32_t> numbers;
    for (int64_t lane = 0; lane < part.second; ++lane)
      numbers.push_back(static_cast<int32_t>(part.first + lane));
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(b.vectorOf(b.getI32Type(), part.second), ArrayRef(numbers)));
  }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, x, y); }
  Value either(Value x, Value y) { return arith::OrIOp::create(b, x, y); }

  //===--- Masks ---===//

  /// Writes the positions of the tile's keys to scratch, as bits: the place of those from before
  /// the step, what is given for those of the step.
  void emitKeyPositions() {
    Value lastToken = b.add(split.token, b.index(split.tokens - 1));
    b.loop(b.index(0), b.index(split.tileKeys), 1, [&](Value key) {
      Value place = b.add(firstKey, key);
      Value isNew = b.compare(arith::CmpIPredicate::uge, place, split.positionBegin);
      Value number = b.select(isNew, b.sub(place, split.positionBegin), b.index(0));
      // No row sees a key behind the last token's.
      Value token = b.minimum(b.add(split.firstToken, number), lastToken);
      Value position = b.select(isNew, b.load(split.positions, token), b.toI32(place));
      Value bits = arith::BitcastOp::create(b, b.getF32Type(), position);
      b.store(bits, split.scratch, split.keyPositionAt(key));
    });
  }

  /// The keys' positions less `from`.
  Value positionsFrom(Value from, Part part, bool isMasked) {
    if (split.positionBegin && isMasked) {
      Value bits =
          b.loadVector(split.scratch, split.keyPositionAt(b.index(part.first)), part.second);
      Value positions = b.bitcast(bits, b.vectorOf(b.getI32Type(), part.second));
      return b.sub(positions, b.broadcast(b.toI32(from), part.second));
    }
    return b.add(iota(part), b.broadcast(b.toI32(b.sub(firstKey, from)), part.second));
  }

  /// Which keys of the tile `row` sees.
  SmallVector<Value> emitMasks(Value row) {
    Value ofToken = b.div(row, b.index(split.group));
    Value limit = b.toI32(b.sub(b.add(split.visible, ofToken), firstKey));
    Value windowFrom, newFrom, bits;
    if (split.windowBegin)
      windowFrom = b.sub(split.positionOf(row), b.index(layout.window - 1));
    if (split.treeMask) {
      newFrom = b.toI32(b.sub(split.treeBegin, firstKey));
      Value at = b.select(split.hasTree, b.add(split.token, ofToken), b.index(0));
      bits = b.load(split.treeMask, at);
    }
    SmallVector<Value> masks;
    for (Part part : parts) {
      VectorType ints = b.vectorOf(b.getI32Type(), part.second);
      Value zero = b.splatInt(0, ints);
      Value mask =
          b.compare(arith::CmpIPredicate::slt, iota(part), b.broadcast(limit, part.second));
      if (windowFrom) {
        Value near =
            b.compare(arith::CmpIPredicate::sge, positionsFrom(windowFrom, part, true), zero);
        if (layout.num_sinks > 0) {
          Value fromSinks = positionsFrom(b.index(layout.num_sinks), part, true);
          near = either(near, b.compare(arith::CmpIPredicate::slt, fromSinks, zero));
        }
        mask = both(mask, near);
      }
      if (bits)
        mask = both(mask, emitTreeMask(part, newFrom, bits));
      masks.push_back(mask);
    }
    return masks;
  }

  /// Keys before the step, and those of it whose bit is set. `newFrom` is the first new key's place
  /// in the tile.
  Value emitTreeMask(Part part, Value newFrom, Value bits) {
    Value place = b.sub(iota(part), b.broadcast(newFrom, part.second));
    auto ints = cast<VectorType>(place.getType());
    VectorType wide = b.vectorOf(b.getI64Type(), part.second);
    Value zero = b.splatInt(0, ints);
    Value isOld = b.compare(arith::CmpIPredicate::slt, place, zero);
    Value isFar = b.compare(arith::CmpIPredicate::sgt, place, b.splatInt(63, ints));
    Value shift = b.select(either(isOld, isFar), zero, place);
    shift = arith::ExtUIOp::create(b, wide, shift);
    Value bit = arith::ShRUIOp::create(b, b.broadcast(bits, part.second), shift);
    bit = both(bit, b.splatInt(1, wide));
    Value isSet = b.compare(arith::CmpIPredicate::ne, bit, b.splatInt(0, wide));
    Value isNear =
        arith::XOrIOp::create(b, isFar, b.splatInt(1, cast<VectorType>(isFar.getType())));
    return either(isOld, both(isSet, isNear));
  }

  //===--- Rows ---===//

  /// Soft cap and distance penalty of a vector of scores.
  Value emitScoreChanges(Value score, Value row, Part part, bool isMasked) {
    int64_t width = part.second;
    if (kernel.softCap > 0) {
      Value scaled = b.mul(score, b.splatF32(1.0 / kernel.softCap, width));
      score = b.mul(b.tanh(scaled), b.splatF32(kernel.softCap, width));
    }
    if (!kernel.alibiSlopes.empty()) {
      Value distance = positionsFrom(split.positionOf(row), part, isMasked);
      Value numbers = arith::SIToFPOp::create(b, b.vectorOf(b.getF32Type(), width), distance);
      auto type = MemRefType::get({kernel.heads}, b.getF32Type());
      Value slopes = memref::GetGlobalOp::create(
          b, type, split.library.getOrCreateConstant("alibi_slopes", kernel.alibiSlopes));
      Value first = b.mul(split.head, b.index(split.group));
      Value slope = b.load(slopes, b.add(first, b.rem(row, b.index(split.group))));
      score = b.fma(b.broadcast(slope, width), numbers, score);
    }
    return score;
  }

  /// In three loops, so that rows overlap: a row's maximum is at the end of a long chain, and so is
  /// its total.
  void emitRows(bool isMasked) {
    auto forEachRow = [&](llvm::function_ref<void(Value)> body) {
      b.loop(b.index(0), b.index(split.rows), 1, body);
    };
    forEachRow([&](Value row) { emitMaximum(row, isMasked); });
    forEachRow([&](Value row) { emitWeights(row, isMasked); });
    AttentionState &state = split.state;
    forEachVector(b, split.rows, split.lanes, [&](Value row, int64_t count) {
      Value rescale = b.exp(b.loadVector(split.scratch, split.rescaleAt(row), count));
      b.storeVector(rescale, split.scratch, split.rescaleAt(row));
      Value total = b.loadVector(split.scratch, split.tileTotalAt(row), count);
      Value running = b.loadVector(state.memory, state.totalAt(b, row), count);
      b.storeVector(b.fma(running, rescale, total), state.memory, state.totalAt(b, row));
    });
  }

  Value loadScores(Value row, Part part) {
    return b.loadVector(split.scratch, split.weightAt(b.index(0), row, b.index(part.first)),
                        part.second);
  }

  /// Finishes a row's scores and updates its maximum; leaves the logarithm of its rescale.
  void emitMaximum(Value row, bool isMasked) {
    AttentionState &state = split.state;
    SmallVector<Value> masks, scores;
    if (isMasked)
      masks = emitMasks(row);
    bool changes = isMasked || kernel.softCap > 0 || !kernel.alibiSlopes.empty();
    for (auto [i, part] : llvm::enumerate(parts)) {
      Value score = emitScoreChanges(loadScores(row, part), row, part, isMasked);
      if (isMasked)
        score = b.select(masks[i], score, b.splatF32(kMaskedScore, part.second));
      if (changes)
        b.storeVector(score, split.scratch, split.weightAt(b.index(0), row, b.index(part.first)));
      scores.push_back(score);
    }
    Value old = b.load(state.memory, state.maximumAt(b, row));
    Value largest = b.maximum(old, reduceParts(scores, /*isSum=*/false));
    b.store(largest, state.memory, state.maximumAt(b, row));
    b.store(b.sub(old, largest), split.scratch, split.rescaleAt(row));
  }

  /// Turns a row's scores into weights. A masked one's is exactly 0.
  void emitWeights(Value row, bool isMasked) {
    Value largest = b.load(split.state.memory, split.state.maximumAt(b, row));
    SmallVector<Value> masked, weights;
    for (Part part : parts) {
      Value score = loadScores(row, part), zero = b.splatF32(0.0, part.second);
      Value weight = b.exp(b.sub(score, b.broadcast(largest, part.second)));
      if (isMasked) {
        masked.push_back(arith::CmpFOp::create(b, arith::CmpFPredicate::OLE, score,
                                               b.splatF32(kMaskedScore, part.second)));
        weight = b.select(masked.back(), zero, weight);
      }
      weights.push_back(weight);
    }
    if (split.hasPairDots)
      storePairs(row, weights);
    else
      storeWeights(row, weights, masked);
    b.store(reduceParts(weights, /*isSum=*/true), split.scratch, split.tileTotalAt(row));
  }

  /// Sum or maximum of all lanes of all vectors, in an order that depends on their sizes alone.
  Value reduceParts(ArrayRef<Value> vectors, bool isSum) {
    auto combine = [&](Value x, Value y) { return isSum ? b.add(x, y) : b.maximum(x, y); };
    Value result;
    for (size_t i = 0; i < parts.size();) {
      int64_t width = parts[i].second;
      SmallVector<Value> same;
      for (; i < parts.size() && parts[i].second == width; ++i)
        same.push_back(vectors[i]);
      for (size_t step = 1; step < same.size(); step *= 2)
        for (size_t j = 0; j + step < same.size(); j += 2 * step)
          same[j] = combine(same[j], same[j + step]);
      Value folded = isSum ? b.sumLanes(same[0]) : b.maxLanes(same[0]);
      result = result ? combine(result, folded) : folded;
    }
    return result;
  }

  /// Stores a row's weights, once for each scale group of values, with the scales in them; and what
  /// the offset of the values' elements adds to their sums.
  void storeWeights(Value row, ArrayRef<Value> weights, ArrayRef<Value> masked) {
    int64_t groups = split.values.storedGroups();
    for (int64_t number = 0; number < std::max<int64_t>(groups, 1); ++number) {
      SmallVector<Value> all;
      for (auto [i, weight, part] : llvm::enumerate(weights, parts)) {
        Value scaled = weight;
        if (groups > 0) {
          Value at = split.valueScaleAt(b.index(number), b.index(part.first));
          scaled = b.mul(weight, b.loadVector(split.scratch, at, part.second));
          if (!masked.empty()) // Scales of keys that are not there may be anything.
            scaled = b.select(masked[i], b.splatF32(0.0, part.second), scaled);
        }
        all.push_back(scaled);
      }
      if (split.hasValueWords) {
        storeWords(row, number, all);
        continue;
      }
      for (auto [scaled, part] : llvm::zip_equal(all, parts))
        b.storeVector(scaled, split.scratch,
                      split.weightAt(b.index(number), row, b.index(part.first)));
      if (double offset = split.values.readOffset(); offset != 0)
        b.store(b.mul(reduceParts(all, /*isSum=*/true), b.f32(-offset)), split.scratch,
                split.valueOffsetAt(b.index(number), row));
    }
  }

  /// Rounds a row's weights to bf16, of which its total is then made.
  void storePairs(Value row, MutableArrayRef<Value> weights) {
    for (auto [weight, part] : llvm::zip_equal(weights, parts)) {
      auto [from, width] = part;
      Value narrow = b.truncate(weight, b.getBF16Type());
      Value pairs = b.bitcast(narrow, b.vectorOf(b.getF32Type(), width / 2));
      b.storeVector(pairs, split.scratch, split.weightWordsAt(b.index(0), row, b.index(from / 2)));
      weight = b.extend(narrow);
    }
  }

  /// Rounds a row's weights of a scale group, scales in them, to 16 bits of the largest.
  void storeWords(Value row, int64_t number, ArrayRef<Value> weights) {
    double most = largestWord(split.values, split.tileKeys);
    Value group = b.index(number), largest = emitLargest(b, weights);
    Value factor = emitWordFactor(b, largest, most);
    b.store(b.mul(largest, b.f32(1.0 / most)), split.scratch, split.weightScaleAt(group, row));
    Value sum;
    for (auto [weight, part] : llvm::zip_equal(weights, parts)) {
      auto [from, width] = part;
      Value words = emitWords(b, b.mul(weight, b.broadcast(factor, width)), most);
      Value narrow = arith::TruncIOp::create(b, b.vectorOf(b.getI16Type(), width), words);
      Value pairs = b.bitcast(narrow, b.vectorOf(b.getF32Type(), width / 2));
      b.storeVector(pairs, split.scratch, split.weightWordsAt(group, row, b.index(from / 2)));
      Value part32 = vector::ReductionOp::create(b, vector::CombiningKind::ADD, words);
      sum = sum ? b.add(sum, part32) : part32;
    }
    Value bias = b.mul(sum, b.i32(wordBias(split.values)));
    b.store(arith::BitcastOp::create(b, b.getF32Type(), bias), split.scratch,
            split.valueOffsetAt(group, row));
  }

  SplitContext &split;
  KernelBuilder &b;
  const AttentionKernel &kernel;
  const llmir_cache_layout &layout;
  Value firstKey;
  SmallVector<Part> parts;
};
} // namespace

void emitSoftmax(SplitContext &split, Value firstKey) { SoftmaxEmitter(split, firstKey).emit(); }

} // namespace mlir::llm
