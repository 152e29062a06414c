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

#include "AttentionState.h"
#include "CacheAddress.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

namespace {
/// How many rows and vectors a loop carries in registers.
struct RegisterTile {
  int64_t rows;
  int64_t vectors;

  /// For `rows` rows in all, on a target of `lanes`; `streams` vectors come from one load.
  RegisterTile(int64_t allRows, int64_t lanes, int64_t streams) {
    int64_t maxRows = lanes >= 16 ? 8 : 6;
    int64_t sums = lanes >= 16 ? 24 : 12;
    int64_t chunks = (allRows + maxRows - 1) / maxRows;
    rows = (allRows + chunks - 1) / chunks;
    vectors = std::clamp<int64_t>(sums / (rows * streams), 1, 4);
  }
};

class SplitEmitter {
public:
  SplitEmitter(KernelBuilder &b, KernelLibrary &library, const AttentionKernel &kernel,
               int64_t tokens, ValueRange arguments)
      : b(b), library(library), kernel(kernel), layout(kernel.layout),
        keys(CacheSide::keys(layout)), values(CacheSide::values(layout)),
        lanes(library.target().lanes), group(kernel.groupSize()), rows(tokens * group),
        tokens(tokens), tileKeys(kernel.tileKeys()),
        blocksPerTile(std::max<int64_t>(1, tileKeys / layout.block_size)),
        blockKeys(std::min<int64_t>(layout.block_size, tileKeys)), at(kernel, rows),
        query(arguments[0]), base(arguments[1]), table(arguments[2]), tableRow(arguments[3]),
        layer(arguments[4]), head(arguments[5]), token(arguments[6]), visible(arguments[7]),
        begin(arguments[8]), end(arguments[9]), scratch(arguments[10]),
        state{arguments[11], arguments[12], rows, layout.value_head_dim} {
    ValueRange rest = arguments.drop_front(13);
    if (keys.hasConstantScale()) {
      keyScales = rest.front();
      rest = rest.drop_front();
    }
    if (kernel.treeMask) {
      stepBegin = rest[0];
      treeMask = rest[1];
      hasTree = rest[2];
    }
  }

  void emit() {
    emitQuery();
    emitEmptyState(b, state, lanes);
    lastBlock = b.div(b.sub(end, b.index(1)), b.index(layout.block_size));
    if (layout.window > 0) {
      // What the first row no longer sees, and what the last row does not.
      windowBegin = b.maximum(b.sub(visible, b.index(layout.window)), b.index(0));
      lastWindowBegin =
          b.maximum(b.sub(b.add(visible, b.index(tokens - 1)), b.index(layout.window)), b.index(0));
    }
    b.loop(begin, end, tileKeys, [&](Value firstKey) {
      if (!windowBegin)
        return emitTile(firstKey);
      Value isSeen =
          b.compare(arith::CmpIPredicate::ugt, b.add(firstKey, b.index(tileKeys)), windowBegin);
      if (layout.num_sinks > 0)
        isSeen = arith::OrIOp::create(
            b, isSeen, b.compare(arith::CmpIPredicate::ult, firstKey, b.index(layout.num_sinks)));
      b.ifThen(isSeen, [&] { emitTile(firstKey); });
    });
  }

private:
  //===--- Scratch ---===//

  Value queryAt(Value channel, Value row) {
    return b.add(b.index(at.query), b.add(b.mul(channel, b.index(rows)), row));
  }
  Value weightAt(Value group, Value row, Value key) {
    Value index = b.add(b.mul(group, b.index(rows)), row);
    return b.add(b.index(at.weights), b.add(b.mul(index, b.index(tileKeys)), key));
  }
  Value valueScaleAt(Value group, Value key) {
    return b.add(b.index(at.valueScales), b.add(b.mul(group, b.index(tileKeys)), key));
  }
  Value rescaleAt(Value row) { return b.add(b.index(at.rescale), row); }

  /// Copies the query heads to scratch, scaled, a channel's rows side by side.
  void emitQuery() {
    Value factor = b.f32(kernel.scale * keys.readFactor());
    if (keyScales) {
      Value index = b.add(b.mul(layer, b.index(layout.num_kv_heads)), head);
      factor = b.mul(factor, b.load(keyScales, index));
    }
    Value firstHead = b.mul(head, b.index(group));
    b.loop(b.index(0), b.index(rows), 1, [&](Value row) {
      Value from = b.add(token, b.div(row, b.index(group)));
      Value column = b.add(firstHead, b.rem(row, b.index(group)));
      column = b.mul(column, b.index(layout.key_head_dim));
      b.loop(b.index(0), b.index(layout.key_head_dim), 1, [&](Value channel) {
        Value scalar = b.extend(b.load(query, {from, b.add(column, channel)}));
        b.store(b.mul(scalar, factor), scratch, queryAt(channel, row));
      });
    });
  }

  /// Calls `body` for chunks of rows: (first row, rows, whether it is the first chunk).
  void forEachChunk(int64_t perChunk, llvm::function_ref<void(Value, int64_t, bool)> body) {
    int64_t whole = rows / perChunk;
    if (whole <= 4) {
      for (int64_t row = 0; row < rows; row += perChunk)
        body(b.index(row), std::min(perChunk, rows - row), row == 0);
      return;
    }
    b.loop(b.index(0), b.index(whole * perChunk), perChunk,
           [&](Value row) { body(row, perChunk, false); });
    if (rows > whole * perChunk)
      body(b.index(whole * perChunk), rows - whole * perChunk, false);
  }

  //===--- One tile of keys ---===//

  void emitTile(Value firstKey) {
    Value valid = b.minimum(b.sub(end, firstKey), b.index(tileKeys));
    firstBlock = b.div(firstKey, b.index(layout.block_size));
    inBlock = blocksPerTile == 1 && tileKeys < layout.block_size
                  ? b.rem(firstKey, b.index(layout.block_size))
                  : Value();
    emitScores(valid);
    Value last = b.add(firstKey, b.index(tileKeys));
    Value isFull = b.compare(arith::CmpIPredicate::ule, last, visible);
    if (kernel.treeMask)
      isFull =
          arith::AndIOp::create(b, isFull, b.compare(arith::CmpIPredicate::ule, last, stepBegin));
    if (windowBegin)
      isFull = arith::AndIOp::create(
          b, isFull, b.compare(arith::CmpIPredicate::uge, firstKey, lastWindowBegin));
    b.ifThen(
        isFull, [&] { emitSoftmax(firstKey, /*isMasked=*/false); },
        [&] { emitSoftmax(firstKey, /*isMasked=*/true); });
    emitValues(firstKey, valid);
  }

  /// The keys of the tile's block number `index`, or of the split's last block.
  Value blockAddress(Value index) {
    Value entry = b.minimum(b.add(firstBlock, index), lastBlock);
    Value block = b.toIndex(b.load(table, b.add(tableRow, entry)));
    return emitHeadAddress(b, layout, block, layer, head);
  }

  struct Piece {
    Value keys;   ///< Address of the block's first key of the tile.
    Value scales; ///< Address of its first stored key scale.
    Value column; ///< In the tile.
    int64_t from, width;
  };

  void emitScores(Value valid) {
    RegisterTile registers(rows, lanes, keys.storedGroups() > 1 ? keys.streams() : 1);
    auto parts = splitLanes(blockKeys, lanes);
    auto numParts = static_cast<int64_t>(parts.size());
    int64_t atOnce = std::clamp<int64_t>(registers.vectors / numParts, 1, blocksPerTile);
    while (blocksPerTile % atOnce != 0)
      --atOnce;
    Value blocks = b.div(b.add(valid, b.index(blockKeys - 1)), b.index(blockKeys));
    Value groups = b.div(b.add(blocks, b.index(atOnce - 1)), b.index(atOnce));
    b.loop(b.index(0), groups, 1, [&](Value number) {
      SmallVector<Piece> pieces;
      SmallVector<Value> next;
      for (int64_t i = 0; i < atOnce; ++i) {
        Value index = b.add(b.mul(number, b.index(atOnce)), b.index(i));
        Value address = blockAddress(index);
        next.push_back(blockAddress(b.add(index, b.index(blocksPerTile))));
        Value column = b.mul(index, b.index(blockKeys));
        emitValueScales(address, column);
        for (auto [from, width] : parts)
          pieces.push_back(makePiece(address, column, from, width));
      }
      for (size_t from = 0; from < pieces.size(); from += registers.vectors) {
        auto some =
            ArrayRef(pieces).slice(from, std::min<size_t>(registers.vectors, pieces.size() - from));
        forEachChunk(registers.rows, [&](Value row, int64_t count, bool isFirst) {
          emitScores(row, count, some, isFirst && from == 0 ? ArrayRef(next) : ArrayRef<Value>());
        });
      }
    });
  }

  Piece makePiece(Value address, Value column, int64_t from, int64_t width) {
    Value key = b.index(from);
    if (inBlock)
      key = b.add(key, inBlock);
    Value scale = b.mul(key, b.index(llmir_element_size(layout.scale_type)));
    return {b.add(address, b.mul(key, b.index(layout.key_token_stride))),
            b.add(b.add(address, b.index(keys.scaleOffset)), scale), b.add(column, b.index(from)),
            from, width};
  }

  /// Copies a block's stored value scales to scratch, so that softmax finds those of a tile side by
  /// side.
  void emitValueScales(Value address, Value column) {
    if (values.storedGroups() == 0)
      return;
    int64_t size = llmir_element_size(layout.scale_type);
    Value first = b.add(address, b.index(values.scaleOffset));
    if (inBlock)
      first = b.add(first, b.mul(inBlock, b.index(size)));
    b.loop(b.index(0), b.index(values.storedGroups()), 1, [&](Value number) {
      Value from = b.add(first, b.mul(number, b.index(values.scaleStride)));
      for (auto [key, width] : splitLanes(blockKeys, lanes)) {
        Value scales = loadScales(b, values, base, b.add(from, b.index(key * size)), width);
        scales = b.mul(scales, b.splatF32(1.0, width));
        b.storeVector(scales, scratch, valueScaleAt(number, b.add(column, b.index(key))));
      }
    });
  }

  /// Fetches the `step`-th part of a block's keys and values out of `steps`: blocks lie anywhere,
  /// so the hardware does not foresee the next one.
  void emitPrefetch(Value address, Value step, int64_t steps) {
    int64_t bytes = layout.head_stride / std::max<int64_t>(1, layout.block_size / blockKeys);
    int64_t lines = (bytes + LLMIR_ALIGNMENT - 1) / LLMIR_ALIGNMENT;
    int64_t perStep = (lines + steps - 1) / steps;
    for (int64_t line = 0; line < perStep; ++line) {
      Value number = b.add(b.mul(step, b.index(perStep)), b.index(line));
      Value target = b.add(address, b.mul(number, b.index(LLMIR_ALIGNMENT)));
      memref::PrefetchOp::create(b, base, ValueRange{target}, /*isWrite=*/false,
                                 /*localityHint=*/3, /*isDataCache=*/true);
    }
  }

  /// sum(stream, row, vector) += factor(stream, row, vector) * load(vector)[stream] for all of
  /// them. What there is less of, factors or vectors, is kept in registers beside the sums.
  void emitProducts(int64_t count, size_t vectors, int64_t streams,
                    llvm::function_ref<SmallVector<Value>(size_t)> load,
                    llvm::function_ref<Value(int64_t, int64_t, size_t)> factor,
                    llvm::function_ref<Value &(int64_t, int64_t, size_t)> sumOf) {
    auto accumulate = [&](int64_t stream, int64_t i, size_t p, Value by, Value element) {
      Value &sum = sumOf(stream, i, p);
      sum = b.fma(by, element, sum);
    };
    if (streams == 1 && count < static_cast<int64_t>(vectors)) {
      SmallVector<Value> factors;
      for (int64_t i = 0; i < count; ++i)
        factors.push_back(factor(0, i, 0));
      for (size_t p = 0; p < vectors; ++p) {
        Value element = load(p).front();
        for (int64_t i = 0; i < count; ++i) {
          bool isSame = factors[i].getType() == element.getType();
          accumulate(0, i, p, isSame ? factors[i] : factor(0, i, p), element);
        }
      }
      return;
    }
    SmallVector<SmallVector<Value>> loaded;
    for (size_t p = 0; p < vectors; ++p)
      loaded.push_back(load(p));
    for (int64_t stream = 0; stream < streams; ++stream)
      for (int64_t i = 0; i < count; ++i)
        for (size_t p = 0; p < vectors; ++p)
          accumulate(stream, i, p, factor(stream, i, p), loaded[p][stream]);
  }

  /// Adds the products of key units [from, to) to `sums`: [streams when `apart`][rows][pieces].
  SmallVector<Value> emitDots(Value row, int64_t count, ArrayRef<Piece> pieces, Value from,
                              Value to, bool apart, ArrayRef<Value> prefetched) {
    int64_t streams = keys.streams();
    SmallVector<Value> zeros;
    for (int64_t stream = 0; stream < (apart ? streams : 1); ++stream)
      for (int64_t i = 0; i < count; ++i)
        for (const Piece &piece : pieces)
          zeros.push_back(b.splatF32(0.0, piece.width));
    return b.loop(from, to, 1, zeros, [&](Value unit, ValueRange carried) -> SmallVector<Value> {
      SmallVector<Value> sums(carried);
      for (Value address : prefetched)
        emitPrefetch(address, unit, keys.units());
      Value offset = b.mul(unit, b.index(layout.key_channel_stride));
      emitProducts(
          count, pieces.size(), streams,
          [&](size_t p) {
            const Piece &piece = pieces[p];
            return loadElements(b, keys, base, b.add(piece.keys, offset), piece.width);
          },
          [&](int64_t stream, int64_t i, size_t p) {
            Value channel = b.add(unit, b.index(stream * keys.units()));
            Value scalar = b.load(scratch, queryAt(channel, b.add(row, b.index(i))));
            return b.broadcast(scalar, pieces[p].width);
          },
          [&](int64_t stream, int64_t i, size_t p) -> Value & {
            return sums[((apart ? stream * count : 0) + i) * pieces.size() + p];
          });
      return sums;
    });
  }

  void emitScores(Value row, int64_t count, ArrayRef<Piece> pieces, ArrayRef<Value> prefetched) {
    int64_t groups = keys.storedGroups();
    SmallVector<Value> scores;
    if (groups <= 1) {
      scores = emitDots(row, count, pieces, b.index(0), b.index(keys.units()), false, prefetched);
      if (groups == 1)
        for (auto [p, piece] : llvm::enumerate(pieces)) {
          Value scales = loadScales(b, keys, base, piece.scales, piece.width);
          for (int64_t i = 0; i < count; ++i) {
            Value &score = scores[i * pieces.size() + p];
            score = b.mul(score, scales);
          }
        }
    } else {
      scores = emitGroupedScores(row, count, pieces, prefetched);
    }
    for (int64_t i = 0; i < count; ++i)
      for (auto [p, piece] : llvm::enumerate(pieces))
        b.storeVector(scores[i * pieces.size() + p], scratch,
                      weightAt(b.index(0), b.add(row, b.index(i)), piece.column));
  }

  /// Scores of keys whose channels have scales by groups.
  SmallVector<Value> emitGroupedScores(Value row, int64_t count, ArrayRef<Piece> pieces,
                                       ArrayRef<Value> prefetched) {
    int64_t perStream = keys.storedGroups() / keys.streams();
    SmallVector<Value> zeros;
    for (int64_t i = 0; i < count; ++i)
      for (const Piece &piece : pieces)
        zeros.push_back(b.splatF32(0.0, piece.width));
    return b.loop(b.index(0), b.index(perStream), 1, zeros,
                  [&](Value number, ValueRange carried) -> SmallVector<Value> {
                    SmallVector<Value> scores(carried);
                    Value from = b.mul(number, b.index(keys.groupChannels()));
                    Value to = b.add(from, b.index(keys.groupChannels()));
                    SmallVector<Value> sums =
                        emitDots(row, count, pieces, from, to, keys.streams() > 1, prefetched);
                    for (int64_t stream = 0; stream < keys.streams(); ++stream) {
                      Value scaleGroup = b.add(number, b.index(stream * perStream));
                      for (auto [p, piece] : llvm::enumerate(pieces)) {
                        Value address =
                            b.add(piece.scales, b.mul(scaleGroup, b.index(keys.scaleStride)));
                        Value scales = loadScales(b, keys, base, address, piece.width);
                        for (int64_t i = 0; i < count; ++i) {
                          Value &score = scores[i * pieces.size() + p];
                          score =
                              b.fma(sums[(stream * count + i) * pieces.size() + p], scales, score);
                        }
                      }
                    }
                    return scores;
                  });
  }

  //===--- Softmax ---===//

  Value emitIota(int64_t from, int64_t width) {
    SmallVector<int32_t> numbers;
    for (int64_t lane = 0; lane < width; ++lane)
      numbers.push_back(static_cast<int32_t>(from + lane));
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(b.vectorOf(b.getI32Type(), width), ArrayRef(numbers)));
  }

  /// Which keys of the tile row `row` sees.
  SmallVector<Value> emitMasks(Value row, Value firstKey,
                               ArrayRef<std::pair<int64_t, int64_t>> parts) {
    Value ofToken = b.div(row, b.index(group));
    Value limit = b.add(visible, ofToken); // keys it sees, if all
    Value limitInt = b.toI32(b.sub(limit, firstKey));
    Value windowInt, sinksInt, newInt, bits;
    if (windowBegin) {
      windowInt = b.toI32(b.sub(b.sub(limit, b.index(layout.window)), firstKey));
      if (layout.num_sinks > 0)
        sinksInt = b.toI32(b.sub(b.index(layout.num_sinks), firstKey));
    }
    if (kernel.treeMask) {
      newInt = b.toI32(b.sub(stepBegin, firstKey));
      Value at = b.select(hasTree, b.add(token, ofToken), b.index(0));
      bits = b.load(treeMask, at);
    }
    SmallVector<Value> masks;
    for (auto [from, width] : parts) {
      Value iota = emitIota(from, width);
      Value mask = b.compare(arith::CmpIPredicate::slt, iota, b.broadcast(limitInt, width));
      if (windowInt) {
        Value near = b.compare(arith::CmpIPredicate::sge, iota, b.broadcast(windowInt, width));
        if (sinksInt)
          near = arith::OrIOp::create(
              b, near, b.compare(arith::CmpIPredicate::slt, iota, b.broadcast(sinksInt, width)));
        mask = arith::AndIOp::create(b, mask, near);
      }
      if (bits)
        mask = arith::AndIOp::create(b, mask, emitTreeMask(iota, newInt, bits, width));
      masks.push_back(mask);
    }
    return masks;
  }

  /// Keys before the step, and those of it whose bit is set. `newInt` is the first new key's place
  /// in the tile.
  Value emitTreeMask(Value iota, Value newInt, Value bits, int64_t width) {
    Value place = b.sub(iota, b.broadcast(newInt, width));
    VectorType wide = b.vectorOf(b.getI64Type(), width);
    Value zero = b.splatInt(0, cast<VectorType>(place.getType()));
    Value isOld = b.compare(arith::CmpIPredicate::slt, place, zero);
    Value isFar = b.compare(arith::CmpIPredicate::sgt, place,
                            b.splatInt(63, cast<VectorType>(place.getType())));
    Value shift = b.select(arith::OrIOp::create(b, isOld, isFar), zero, place);
    shift = arith::ExtUIOp::create(b, wide, shift);
    Value bit = arith::ShRUIOp::create(b, b.broadcast(bits, width), shift);
    bit = arith::AndIOp::create(b, bit, b.splatInt(1, wide));
    Value isSet = b.compare(arith::CmpIPredicate::ne, bit, b.splatInt(0, wide));
    Value isNear =
        arith::XOrIOp::create(b, isFar, b.splatInt(1, cast<VectorType>(isFar.getType())));
    return arith::OrIOp::create(b, isOld, arith::AndIOp::create(b, isSet, isNear));
  }

  /// Soft cap and distance penalty of a vector of scores.
  Value emitScoreChanges(Value score, Value row, Value firstKey, int64_t from, int64_t width) {
    if (kernel.softCap > 0) {
      Value scaled = b.mul(score, b.splatF32(1.0 / kernel.softCap, width));
      score = b.mul(b.tanh(scaled), b.splatF32(kernel.softCap, width));
    }
    if (!kernel.alibiSlopes.empty()) {
      Value own = b.add(visible, b.div(row, b.index(group)));
      Value first = b.toI32(b.sub(b.sub(firstKey, own), b.index(-1)));
      Value distance = b.add(emitIota(from, width), b.broadcast(first, width));
      Value numbers = arith::SIToFPOp::create(b, b.vectorOf(b.getF32Type(), width), distance);
      auto type = MemRefType::get({kernel.heads}, b.getF32Type());
      Value slopes = memref::GetGlobalOp::create(
          b, type, library.getOrCreateConstant("alibi_slopes", kernel.alibiSlopes));
      Value queryHead = b.add(b.mul(head, b.index(group)), b.rem(row, b.index(group)));
      Value slope = b.load(slopes, queryHead);
      score = b.fma(b.broadcast(slope, width), numbers, score);
    }
    return score;
  }

  /// Turns a tile's scores into weights and updates each row's maximum, total and rescale.
  void emitSoftmax(Value firstKey, bool isMasked) {
    auto parts = splitLanes(tileKeys, lanes);
    b.loop(b.index(0), b.index(rows), 1, [&](Value row) {
      SmallVector<Value> masks, scores;
      if (isMasked)
        masks = emitMasks(row, firstKey, parts);
      for (auto [i, part] : llvm::enumerate(parts)) {
        auto [from, width] = part;
        Value score = b.loadVector(scratch, weightAt(b.index(0), row, b.index(from)), width);
        score = emitScoreChanges(score, row, firstKey, from, width);
        if (isMasked)
          score = b.select(masks[i], score, b.splatF32(-1.0e30, width));
        scores.push_back(score);
      }
      Value old = b.load(state.memory, state.maximumAt(b, row));
      Value largest = b.maximum(old, reduceParts(scores, parts, /*isSum=*/false));
      SmallVector<Value> weights;
      for (auto [i, part] : llvm::enumerate(parts)) {
        Value weight = b.exp(b.sub(scores[i], b.broadcast(largest, part.second)));
        if (isMasked)
          weight = b.select(masks[i], weight, b.splatF32(0.0, part.second));
        weights.push_back(weight);
      }
      emitWeights(row, weights, parts);
      Value rescale = b.firstLane(b.exp(b.broadcast(b.sub(old, largest), 4)));
      b.store(largest, state.memory, state.maximumAt(b, row));
      b.store(rescale, scratch, rescaleAt(row));
      Value running = b.load(state.memory, state.totalAt(b, row));
      Value total = reduceParts(weights, parts, /*isSum=*/true);
      b.store(b.fma(running, rescale, total), state.memory, state.totalAt(b, row));
    });
  }

  /// Sum or maximum of all lanes of all vectors, in an order that depends on their sizes alone.
  Value reduceParts(ArrayRef<Value> vectors, ArrayRef<std::pair<int64_t, int64_t>> parts,
                    bool isSum) {
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

  /// Stores a row's weights, once for each scale group of values, with the scales in them.
  void emitWeights(Value row, ArrayRef<Value> weights,
                   ArrayRef<std::pair<int64_t, int64_t>> parts) {
    int64_t groups = values.storedGroups();
    auto storeGroup = [&](Value number, bool isScaled) {
      for (auto [weight, part] : llvm::zip_equal(weights, parts)) {
        Value scaled = weight;
        if (isScaled)
          scaled = b.mul(weight, b.loadVector(scratch, valueScaleAt(number, b.index(part.first)),
                                              part.second));
        b.storeVector(scaled, scratch, weightAt(number, row, b.index(part.first)));
      }
    };
    if (groups == 0)
      return storeGroup(b.index(0), false);
    for (int64_t number = 0; number < groups; ++number)
      storeGroup(b.index(number), true);
  }

  //===--- Values ---===//

  void emitValues(Value firstKey, Value valid) {
    // A pass stays within one scale group.
    int64_t channels = values.storedGroups() > 1 ? values.groupChannels() : values.units();
    RegisterTile registers(rows, lanes, values.streams());
    int64_t width = lanes;
    while (values.storedGroups() > 1 && channels % width != 0)
      width /= 2;
    int64_t pass = std::min(registers.vectors * width, channels);
    forEachChunk(registers.rows, [&](Value row, int64_t count, bool) {
      auto emitPasses = [&](Value first) {
        int64_t whole = channels / pass * pass;
        b.loop(b.index(0), b.index(whole), pass, [&](Value channel) {
          emitPass(firstKey, valid, row, count, b.add(first, channel), splitLanes(pass, width));
        });
        if (whole < channels)
          emitPass(firstKey, valid, row, count, b.add(first, b.index(whole)),
                   splitLanes(channels - whole, width));
      };
      if (channels == values.units())
        return emitPasses(b.index(0));
      b.loop(b.index(0), b.index(values.units()), channels, emitPasses);
    });
  }

  /// Adds the weighted values of the tile to the sums of some rows and channels.
  void emitPass(Value firstKey, Value valid, Value row, int64_t count, Value unit,
                ArrayRef<std::pair<int64_t, int64_t>> parts) {
    int64_t streams = values.streams();
    SmallVector<Value> initial;
    auto sumAt = [&](int64_t stream, int64_t i, int64_t from) {
      Value channel = b.add(unit, b.index(stream * values.units() + from));
      return state.sumAt(b, b.add(row, b.index(i)), channel);
    };
    auto forEachSum = [&](llvm::function_ref<void(int64_t, int64_t, int64_t, int64_t)> body) {
      for (int64_t stream = 0; stream < streams; ++stream)
        for (int64_t i = 0; i < count; ++i)
          for (auto [from, width] : parts)
            body(stream, i, from, width);
    };
    forEachSum([&](int64_t stream, int64_t i, int64_t from, int64_t width) {
      Value rescale = b.load(scratch, rescaleAt(b.add(row, b.index(i))));
      Value sum = b.loadVector(state.memory, sumAt(stream, i, from), width);
      initial.push_back(b.mul(sum, b.broadcast(rescale, width)));
    });
    SmallVector<Value> weightGroups(streams, b.index(0));
    if (values.storedGroups() > 1)
      for (int64_t stream = 0; stream < streams; ++stream)
        weightGroups[stream] =
            b.div(b.add(unit, b.index(stream * values.units())), b.index(values.groupChannels()));
    Value blocks = b.div(b.add(valid, b.index(blockKeys - 1)), b.index(blockKeys));
    SmallVector<Value> sums = b.loop(
        b.index(0), blocks, 1, initial, [&](Value index, ValueRange carried) -> SmallVector<Value> {
          Value column = b.mul(index, b.index(blockKeys));
          auto [from, to] = emitSeenKeys(firstKey, valid, column);
          Value address = b.add(blockAddress(index), b.index(layout.value_offset));
          address = b.add(address, b.mul(unit, b.index(layout.value_channel_stride)));
          return emitBlockValues(row, count, parts, weightGroups, address, column, from, to,
                                 carried);
        });
    size_t next = 0;
    forEachSum([&](int64_t stream, int64_t i, int64_t from, int64_t) {
      b.storeVector(sums[next++], state.memory, sumAt(stream, i, from));
    });
  }

  /// The keys of a block (from `column` of the tile) that some row may see. What a window has left
  /// behind may belong to somebody else by now.
  std::pair<Value, Value> emitSeenKeys(Value firstKey, Value valid, Value column) {
    Value to = b.minimum(b.sub(valid, column), b.index(blockKeys));
    if (!windowBegin)
      return {b.index(0), to};
    Value blockBegin = b.add(firstKey, column);
    Value from = b.maximum(b.sub(windowBegin, blockBegin), b.index(0));
    from = b.minimum(from, to);
    if (layout.num_sinks > 0) {
      Value hasSinks = b.compare(arith::CmpIPredicate::ult, blockBegin, b.index(layout.num_sinks));
      from = b.select(hasSinks, b.index(0), from);
    }
    return {from, to};
  }

  SmallVector<Value> emitBlockValues(Value row, int64_t count,
                                     ArrayRef<std::pair<int64_t, int64_t>> parts,
                                     ArrayRef<Value> weightGroups, Value address, Value column,
                                     Value from, Value to, ValueRange initial) {
    return b.loop(from, to, 1, initial, [&](Value key, ValueRange carried) -> SmallVector<Value> {
      SmallVector<Value> sums(carried);
      Value inMemory = inBlock ? b.add(key, inBlock) : key;
      Value here = b.add(address, b.mul(inMemory, b.index(layout.value_token_stride)));
      Value inTile = b.add(column, key);
      emitProducts(
          count, parts.size(), static_cast<int64_t>(weightGroups.size()),
          [&](size_t p) {
            auto [channel, width] = parts[p];
            Value element = b.add(here, b.index(channel * layout.value_channel_stride));
            return loadElements(b, values, base, element, width);
          },
          [&](int64_t stream, int64_t i, size_t p) {
            Value weight =
                b.load(scratch, weightAt(weightGroups[stream], b.add(row, b.index(i)), inTile));
            return b.broadcast(weight, parts[p].second);
          },
          [&](int64_t stream, int64_t i, size_t p) -> Value & {
            return sums[(stream * count + i) * parts.size() + p];
          });
      return sums;
    });
  }

  KernelBuilder &b;
  KernelLibrary &library;
  const AttentionKernel &kernel;
  const llmir_cache_layout &layout;
  CacheSide keys, values;
  int64_t lanes, group, rows, tokens, tileKeys;
  int64_t blocksPerTile, blockKeys; ///< Blocks of a tile, and keys of each that are in it.
  AttentionScratch at;
  Value query, base, table, tableRow, layer, head, token, visible, begin, end, scratch;
  AttentionState state;
  Value keyScales, stepBegin, treeMask, hasTree;
  Value lastBlock, windowBegin, lastWindowBegin;
  Value firstBlock, inBlock; ///< Of the tile being emitted; `inBlock` null: 0.
};
} // namespace

func::FuncOp getSplitFunction(KernelLibrary &library, const AttentionKernel &kernel,
                              int64_t tokens) {
  MLIRContext *context = library.context();
  Type index = library.indexType();
  Type ints = library.vectorType(IntegerType::get(context, 32));
  Type floats = library.vectorType(Float32Type::get(context));
  SmallVector<Type> types = {kernel.query, library.bytesType(),
                             ints,         index,
                             index,        index,
                             index,        index,
                             index,        index,
                             floats,       floats,
                             index};
  if (CacheSide::keys(kernel.layout).hasConstantScale())
    types.push_back(floats);
  if (kernel.treeMask)
    llvm::append_values(types, index, library.vectorType(IntegerType::get(context, 64)),
                        IntegerType::get(context, 1));
  return library.getOrCreate(kernel.name() + "_split_" + std::to_string(tokens), types,
                             [&](KernelBuilder &builder, ValueRange arguments) {
                               SplitEmitter(builder, library, kernel, tokens, arguments).emit();
                             });
}

} // namespace mlir::llm
