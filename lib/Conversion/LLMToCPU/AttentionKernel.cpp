// Causal attention over a paged cache, one tile for each (sequence, chunk of tokens, KV head): all
// query heads of the group and all tokens of the chunk read a block of keys and values once.
//
// For every block, in order of position: scores of its tokens side by side (keys are channel-major,
// so there are no horizontal sums), online softmax in f32, then the weighted values. A row that
// ends before a block gets weights of exactly 0 and a rescale of exactly 1, so that a row's bytes
// do not depend on the rows beside it. Source: Milakov and Gimelshein, "Online normalizer
// calculation for softmax"; Dao et al., "FlashAttention".
//
// Floor, one token: the bytes of keys and values over the read bandwidth. Many tokens: 2 * context
// * head size multiply-adds a row over the peak of f32 fma.

#include "CacheAddress.h"
#include "Kernels.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

/// Rows (token, head) that a tile has at most; that one loop over keys or values carries; and the
/// sums of such a loop, which leave registers for what is loaded.
static constexpr int64_t kTileRows = 12;
static constexpr int64_t kLoopRows = 6;
static constexpr int64_t kLoopSums = 12;

int64_t AttentionKernel::tileTokens() const {
  return std::clamp<int64_t>(kTileRows / groupSize(), 1, 8);
}

int64_t AttentionKernel::scratchElements() const {
  int64_t rows = tileTokens() * groupSize();
  return rows * (layout.block_size + layout.value_head_dim + 3) + 16;
}

namespace {
/// Vectors that cover `size` elements: as wide as the target's, then halving.
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

class AttentionEmitter {
public:
  AttentionEmitter(KernelBuilder &builder, const CPUTarget &target, const AttentionKernel &kernel,
                   ValueRange arguments)
      : b(builder), kernel(kernel), layout(kernel.layout), lanes(target.lanes),
        group(kernel.groupSize()), begin(arguments[0]), stride(arguments[1]), query(arguments[2]),
        base(arguments[3]), table(arguments[4]), tableStride(arguments[5]),
        contextLengths(arguments[6]), cuLengths(arguments[7]), sequences(arguments[8]),
        layer(arguments[9]), scratch(arguments[10]), output(arguments[11]) {}

  void emit() {
    int64_t perTile = kernel.tileTokens();
    Value heads = b.index(layout.num_kv_heads);
    b.loop(b.index(0), sequences, 1, b.index(0),
           [&](Value sequence, ValueRange carried) -> SmallVector<Value> {
             Value first = b.toIndex(b.load(cuLengths, sequence));
             Value last = b.toIndex(b.load(cuLengths, b.add(sequence, b.index(1))));
             Value count = b.sub(last, first);
             Value context = b.toIndex(b.load(contextLengths, sequence));
             Value full = b.div(count, b.index(perTile));
             Value chunks = b.add(full, b.rem(count, b.index(perTile)));
             b.loop(b.index(0), chunks, 1, [&](Value chunk) {
               b.loop(b.index(0), heads, 1, [&](Value head) {
                 Value tile = b.add(carried[0], b.add(b.mul(chunk, heads), head));
                 Value isMine = b.compare(arith::CmpIPredicate::eq, b.rem(tile, stride), begin);
                 b.ifThen(isMine,
                          [&] { emitChunk(sequence, first, last, context, full, chunk, head); });
               });
             });
             return {b.add(carried[0], b.mul(chunks, heads))};
           });
  }

private:
  /// A chunk is `tileTokens` tokens while that many are left, then one.
  void emitChunk(Value sequence, Value first, Value last, Value context, Value full, Value chunk,
                 Value head) {
    int64_t perTile = kernel.tileTokens();
    auto tile = [&](Value token, int64_t tokens) {
      // Keys that the chunk's first token sees: its position + 1.
      Value visible = b.add(b.sub(context, b.sub(last, token)), b.index(1));
      emitTile(sequence, token, tokens, visible, head);
    };
    if (perTile == 1)
      return tile(b.add(first, chunk), 1);
    b.ifThen(
        b.compare(arith::CmpIPredicate::ult, chunk, full),
        [&] { tile(b.add(first, b.mul(chunk, b.index(perTile))), perTile); },
        [&] {
          Value rest = b.sub(chunk, full);
          tile(b.add(first, b.add(b.mul(full, b.index(perTile)), rest)), 1);
        });
  }

  //===--- Scratch: weights [rows][block], sums [rows][value dim], maximum, total, rescale --===//

  Value weightAt(Value row, Value token) {
    return b.add(b.mul(row, b.index(layout.block_size)), token);
  }
  Value sumAt(Value row, Value channel) {
    Value offset = b.add(b.mul(row, b.index(layout.value_head_dim)), channel);
    return b.add(offset, b.index(rows * layout.block_size));
  }
  Value stateAt(Value row, int64_t which) {
    int64_t from = rows * (layout.block_size + layout.value_head_dim) + which * rows;
    return b.add(row, b.index(from));
  }
  enum State { Maximum = 0, Total = 1, Rescale = 2 };

  //===--- One tile -------------------------------------------------------------------------===//

  void emitTile(Value sequence, Value token, int64_t tokens, Value visible, Value head) {
    rows = tokens * group;
    emitInitialState();
    Value lastVisible = b.add(visible, b.index(tokens - 1));
    Value blockSize = b.index(layout.block_size);
    Value blocks = b.div(b.add(lastVisible, b.index(layout.block_size - 1)), blockSize);
    Value tableRow = b.mul(sequence, tableStride);
    Value lastBlock = b.sub(blocks, b.index(1));
    auto addressOf = [&](Value index) {
      Value block = b.toIndex(b.load(table, b.add(tableRow, index)));
      return emitHeadAddress(b, layout, block, layer, head);
    };
    b.loop(b.index(0), blocks, 1, [&](Value index) {
      Value keys = addressOf(index);
      // Blocks lie anywhere, so the hardware does not foresee the next one.
      Value next = addressOf(b.minimum(b.add(index, b.index(1)), lastBlock));
      Value firstKey = b.mul(index, blockSize);
      emitScores(token, head, keys, next);
      emitSoftmax(visible, firstKey);
      Value valid = b.minimum(b.sub(lastVisible, firstKey), blockSize);
      emitValues(b.add(keys, b.index(layout.value_offset)), valid);
    });
    emitOutput(token, head);
  }

  void emitInitialState() {
    b.loop(b.index(0), b.index(rows), 1, [&](Value row) {
      b.store(b.f32(-1.0e30), scratch, stateAt(row, Maximum));
      b.store(b.f32(0.0), scratch, stateAt(row, Total));
      for (auto [from, count] : splitLanes(layout.value_head_dim, lanes))
        b.storeVector(b.splatF32(0.0, count), scratch, sumAt(row, b.index(from)));
    });
  }

  /// Sums that `rows` rows leave for each: vectors side by side.
  static size_t vectorsFor(int64_t rows) {
    return static_cast<size_t>(std::clamp<int64_t>(kLoopSums / rows, 1, 4));
  }

  /// Fetches the `step`-th part of a head's keys and values out of `steps`.
  void emitPrefetch(Value head, Value step, int64_t steps) {
    int64_t lines = (layout.head_stride + LLMIR_ALIGNMENT - 1) / LLMIR_ALIGNMENT;
    int64_t perStep = (lines + steps - 1) / steps;
    for (int64_t line = 0; line < perStep; ++line) {
      Value number = b.add(b.mul(step, b.index(perStep)), b.index(line));
      Value address = b.add(head, b.mul(number, b.index(LLMIR_ALIGNMENT)));
      memref::PrefetchOp::create(b, base, ValueRange{address}, /*isWrite=*/false,
                                 /*localityHint=*/3, /*isDataCache=*/true);
    }
  }

  void emitScores(Value token, Value head, Value keys, Value nextKeys) {
    auto parts = splitLanes(layout.block_size, lanes);
    Value firstHead = b.mul(head, b.index(group));
    Type keyType = cacheElementType(b, layout.key_type);
    // As many key vectors at a time as leave registers for the rows.
    size_t vectors = vectorsFor(std::min(kLoopRows, rows));
    for (size_t from = 0; from < parts.size(); from += vectors) {
      auto some = ArrayRef(parts).slice(from, std::min(vectors, parts.size() - from));
      for (int64_t row = 0; row < rows; row += kLoopRows) {
        int64_t count = std::min(kLoopRows, rows - row);
        SmallVector<Value> zeros;
        for (int64_t i = 0; i < count; ++i)
          for (auto [start, width] : some)
            zeros.push_back(b.splatF32(0.0, width));
        SmallVector<Value> scores =
            b.loop(b.index(0), b.index(layout.key_head_dim), 1, zeros,
                   [&](Value d, ValueRange carried) -> SmallVector<Value> {
                     SmallVector<Value> sums(carried);
                     if (from == 0 && row == 0)
                       emitPrefetch(nextKeys, d, layout.key_head_dim);
                     Value channel = b.add(keys, b.mul(d, b.index(layout.key_channel_stride)));
                     SmallVector<Value> loaded;
                     for (auto [start, width] : some) {
                       Value address = b.add(channel, b.index(start * layout.key_token_stride));
                       loaded.push_back(b.extend(b.loadBytes(base, address, keyType, width)));
                     }
                     for (int64_t i = 0; i < count; ++i) {
                       Value at = b.add(token, b.index((row + i) / group));
                       Value column = b.add(firstHead, b.index((row + i) % group));
                       column = b.add(b.mul(column, b.index(layout.key_head_dim)), d);
                       Value scalar = b.extend(b.load(query, {at, column}));
                       for (auto [part, key] : llvm::enumerate(loaded)) {
                         Value &sum = sums[i * some.size() + part];
                         sum = b.fma(b.broadcast(scalar, some[part].second), key, sum);
                       }
                     }
                     return sums;
                   });
        for (int64_t i = 0; i < count; ++i)
          for (auto [part, range] : llvm::enumerate(some)) {
            Value score =
                b.mul(scores[i * some.size() + part], b.splatF32(kernel.scale, range.second));
            b.storeVector(score, scratch, weightAt(b.index(row + i), b.index(range.first)));
          }
      }
    }
  }

  /// Turns a block's scores into weights and updates each row's maximum, total and rescale.
  void emitSoftmax(Value visible, Value firstKey) {
    b.loop(b.index(0), b.index(rows), 1, [&](Value row) {
      Value limit = b.sub(b.add(visible, b.div(row, b.index(group))), firstKey);
      Value limitInt = b.toI32(limit);
      SmallVector<Value> masks, scores;
      Value old = b.load(scratch, stateAt(row, Maximum));
      Value largest = old;
      auto parts = splitLanes(layout.block_size, lanes);
      for (auto [from, width] : parts) {
        SmallVector<int32_t> numbers;
        for (int64_t lane = 0; lane < width; ++lane)
          numbers.push_back(static_cast<int32_t>(from + lane));
        Value iota = arith::ConstantOp::create(
            b, DenseElementsAttr::get(b.vectorOf(b.getI32Type(), width), ArrayRef(numbers)));
        masks.push_back(b.compare(arith::CmpIPredicate::slt, iota, b.broadcast(limitInt, width)));
        Value score = b.loadVector(scratch, weightAt(row, b.index(from)), width);
        scores.push_back(b.select(masks.back(), score, b.splatF32(-1.0e30, width)));
        largest = b.maximum(largest, b.maxLanes(scores.back()));
      }
      Value total;
      for (auto [part, range] : llvm::enumerate(parts)) {
        auto [from, width] = range;
        Value weight = b.exp(b.sub(scores[part], b.broadcast(largest, width)));
        weight = b.select(masks[part], weight, b.splatF32(0.0, width));
        b.storeVector(weight, scratch, weightAt(row, b.index(from)));
        Value sum = b.sumLanes(weight);
        total = total ? b.add(total, sum) : sum;
      }
      Value difference = b.broadcast(b.sub(old, largest), 4);
      Value rescale = b.maxLanes(b.exp(difference));
      b.store(largest, scratch, stateAt(row, Maximum));
      b.store(rescale, scratch, stateAt(row, Rescale));
      Value running = b.load(scratch, stateAt(row, Total));
      b.store(b.fma(running, rescale, total), scratch, stateAt(row, Total));
    });
  }

  void emitValues(Value values, Value valid) {
    Type valueType = cacheElementType(b, layout.value_type);
    auto channels = [&](Value channel, ArrayRef<std::pair<int64_t, int64_t>> parts) {
      for (int64_t row = 0; row < rows; row += kLoopRows) {
        int64_t count = std::min(kLoopRows, rows - row);
        SmallVector<Value> initial;
        for (int64_t i = 0; i < count; ++i) {
          Value at = b.index(row + i);
          Value rescale = b.load(scratch, stateAt(at, Rescale));
          for (auto [from, width] : parts) {
            Value sum = b.loadVector(scratch, sumAt(at, b.add(channel, b.index(from))), width);
            initial.push_back(b.mul(sum, b.broadcast(rescale, width)));
          }
        }
        SmallVector<Value> sums =
            b.loop(b.index(0), valid, 1, initial,
                   [&](Value key, ValueRange carried) -> SmallVector<Value> {
                     SmallVector<Value> next(carried), loaded;
                     Value address = b.add(values, b.mul(key, b.index(layout.value_token_stride)));
                     address = b.add(address, b.mul(channel, b.index(layout.value_channel_stride)));
                     for (auto [from, width] : parts) {
                       Value at = b.add(address, b.index(from * layout.value_channel_stride));
                       loaded.push_back(b.extend(b.loadBytes(base, at, valueType, width)));
                     }
                     for (int64_t i = 0; i < count; ++i) {
                       Value weight = b.load(scratch, weightAt(b.index(row + i), key));
                       for (auto [part, value] : llvm::enumerate(loaded)) {
                         Value &sum = next[i * parts.size() + part];
                         sum = b.fma(b.broadcast(weight, parts[part].second), value, sum);
                       }
                     }
                     return next;
                   });
        for (int64_t i = 0; i < count; ++i)
          for (auto [part, range] : llvm::enumerate(parts))
            b.storeVector(sums[i * parts.size() + part], scratch,
                          sumAt(b.index(row + i), b.add(channel, b.index(range.first))));
      }
    };
    int64_t wide = 2 * lanes;
    int64_t whole = layout.value_head_dim / wide * wide;
    b.loop(b.index(0), b.index(whole), wide,
           [&](Value channel) { channels(channel, {{0, lanes}, {lanes, lanes}}); });
    for (auto range : splitLanes(layout.value_head_dim - whole, lanes))
      channels(b.index(whole), range);
  }

  void emitOutput(Value token, Value head) {
    Type element = kernel.output.getElementType();
    b.loop(b.index(0), b.index(rows), 1, [&](Value row) {
      Value total = b.load(scratch, stateAt(row, Total));
      Value inverse = b.div(b.f32(1.0), total);
      Value column = b.add(b.mul(head, b.index(group)), b.rem(row, b.index(group)));
      column = b.mul(column, b.index(layout.value_head_dim));
      Value at = b.add(token, b.div(row, b.index(group)));
      for (auto [from, width] : splitLanes(layout.value_head_dim, lanes)) {
        Value sum = b.loadVector(scratch, sumAt(row, b.index(from)), width);
        Value result = b.mul(sum, b.broadcast(inverse, width));
        b.storeVector(b.truncate(result, element), output, {at, b.add(column, b.index(from))});
      }
    });
  }

  KernelBuilder &b;
  const AttentionKernel &kernel;
  const llmir_cache_layout &layout;
  int64_t lanes;
  int64_t group;
  int64_t rows = 0; ///< Of the tile being emitted.
  Value begin, stride, query, base, table, tableStride, contextLengths, cuLengths, sequences, layer,
      scratch, output;
};
} // namespace

func::FuncOp getKernel(KernelLibrary &library, const AttentionKernel &kernel) {
  MLIRContext *context = library.context();
  Type index = library.indexType();
  Type ints = library.vectorType(IntegerType::get(context, 32));
  Type floats = library.vectorType(Float32Type::get(context));
  std::string name = "attention_" + std::to_string(kernel.heads) + "_" + cacheName(kernel.layout) +
                     "_" + llvm::utohexstr(llvm::bit_cast<uint64_t>(kernel.scale));
  return library.getOrCreate(
      name,
      {index, index, kernel.query, library.bytesType(), ints, index, ints, ints, index, index,
       floats, kernel.output},
      [&](KernelBuilder &builder, ValueRange arguments) {
        AttentionEmitter(builder, library.target(), kernel, arguments).emit();
      });
}

} // namespace mlir::llm
