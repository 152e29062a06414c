// Fetching a tile of keys and values ahead: see TilePrefetch in AttentionSplit.h.

#include "AttentionSplit.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

static int64_t linesOf(int64_t bytes) { return (bytes + LLMIR_ALIGNMENT - 1) / LLMIR_ALIGNMENT; }

TilePrefetch::TilePrefetch(KernelBuilder &b, const AttentionKernel &kernel, Value base, Value table)
    : b(b), layout(kernel.layout), base(base), table(table), tileKeys(kernel.tileKeys()),
      blocks(std::max<int64_t>(1, tileKeys / layout.block_size)) {
  int64_t keysAndValues =
      layout.value_offset + layout.block_size / layout.value_interleave * layout.value_token_stride;
  if (tileKeys >= layout.block_size) {
    // Keys and values of a block and head are neighbours.
    regions.push_back({0, blocks, 1, linesOf(keysAndValues), 0});
  } else {
    CacheSide keys = CacheSide::keys(layout);
    regions.push_back({0, 1, keys.units(), linesOf(tileKeys * layout.key_token_stride),
                       layout.key_channel_stride});
    regions.push_back(
        {1, 1, 1, linesOf(tileKeys / layout.value_interleave * layout.value_token_stride), 0});
  }
  int64_t count = regions.back().first + regions.back().count;
  addresses = memref::AllocaOp::create(b, MemRefType::get({count}, b.getIndexType()));
}

void TilePrefetch::start(const TilePlace &place) {
  Value blockSize = b.index(layout.block_size);
  Value firstBlock = b.div(place.key, blockSize);
  auto addressOf = [&](Value number) {
    Value entry = b.minimum(number, place.lastBlock);
    Value block = b.toIndex(b.load(table, b.add(place.tableRow, entry)));
    return emitHeadAddress(b, layout, block, place.layer, place.head);
  };
  if (tileKeys >= layout.block_size) {
    CacheSide keys = CacheSide::keys(layout), values = CacheSide::values(layout);
    bool hasScales = keys.storedGroups() + values.storedGroups() > 0;
    for (int64_t i = 0; i < blocks; ++i) {
      Value address = addressOf(b.add(firstBlock, b.index(i)));
      b.store(address, addresses, b.index(i));
      for (int64_t at = layout.key_scale_offset; hasScales && at < layout.head_stride;
           at += LLMIR_ALIGNMENT)
        emitLine(b.add(address, b.index(at)));
    }
    return;
  }
  Value head = addressOf(firstBlock), inside = b.rem(place.key, blockSize);
  b.store(b.add(head, b.mul(inside, b.index(layout.key_token_stride))), addresses, b.index(0));
  Value values = b.add(head, b.index(layout.value_offset));
  b.store(b.add(values, emitValueTokenOffset(b, layout, inside)), addresses, b.index(1));
}

void TilePrefetch::emit(Value step, int64_t steps) {
  for (const Region &region : regions)
    emit(region, step, steps);
}

void TilePrefetch::emitLine(Value address) {
  memref::PrefetchOp::create(b, base, ValueRange{address}, /*isWrite=*/false, /*localityHint=*/2,
                             /*isDataCache=*/true);
}

void TilePrefetch::emit(const Region &region, Value step, int64_t steps) {
  // Lines of a step: a divisor or a multiple of the number of addresses, so that which ones they
  // belong to follows from the step in a shift.
  int64_t perStep = (region.lines() * region.count + steps - 1) / steps;
  while (region.count % perStep != 0 && perStep % region.count != 0)
    ++perStep;
  int64_t needed = (region.lines() * region.count + perStep - 1) / perStep;
  if (needed >= steps)
    return emitStep(region, step, perStep);
  b.ifThen(b.compare(arith::CmpIPredicate::ult, step, b.index(needed)),
           [&] { emitStep(region, step, perStep); });
}

void TilePrefetch::emitStep(const Region &region, Value step, int64_t perStep) {
  int64_t turns = std::max<int64_t>(1, region.count / perStep); // Steps for a line of each.
  int64_t together = std::min(perStep, region.count);
  int64_t times = perStep / together;
  Value first = b.mul(b.rem(step, b.index(turns)), b.index(together));
  for (int64_t time = 0; time < times; ++time) {
    Value line = b.add(b.mul(b.div(step, b.index(turns)), b.index(times)), b.index(time));
    if (region.lines() % times != 0)
      line = b.minimum(line, b.index(region.lines() - 1));
    Value offset = b.mul(line, b.index(LLMIR_ALIGNMENT));
    if (region.runs > 1) {
      Value run = b.div(line, b.index(region.runLines)),
            inRun = b.rem(line, b.index(region.runLines));
      offset = b.add(b.mul(run, b.index(region.runStride)), b.mul(inRun, b.index(LLMIR_ALIGNMENT)));
    }
    for (int64_t i = 0; i < together; ++i) {
      Value address = b.load(addresses, b.add(first, b.index(region.first + i)));
      emitLine(b.add(address, offset));
    }
  }
}

void TilePrefetch::emitAll() {
  for (const Region &region : regions) {
    int64_t lines = region.lines();
    b.loop(b.index(0), b.index(lines), 1, [&](Value line) { emit(region, line, lines); });
  }
}

void emitValueFetch(SplitContext &split) {
  KernelBuilder &b = split.b;
  const llmir_cache_layout &layout = split.layout;
  int64_t bytes = split.blockKeys / layout.value_interleave * layout.value_token_stride;
  // Wider values arrive from memory no sooner than they are needed: fetching them gains nothing and
  // costs its instructions (measured: 4 to 7 % of f16).
  constexpr int64_t mostBytes = 4096;
  if (bytes * split.blocksPerTile > mostBytes)
    return;
  b.loop(b.index(0), b.index(split.blocksPerTile), 1, [&](Value index) {
    Value address = b.add(split.blockAddress(index), b.index(layout.value_offset));
    if (Value inside = split.insideBlock())
      address = b.add(address, emitValueTokenOffset(b, layout, inside));
    for (int64_t line = 0; line < linesOf(bytes); ++line)
      memref::PrefetchOp::create(b, split.base,
                                 ValueRange{b.add(address, b.index(line * LLMIR_ALIGNMENT))},
                                 /*isWrite=*/false, /*localityHint=*/3, /*isDataCache=*/true);
  });
}

func::FuncOp getPrefetchFunction(KernelLibrary &library, const AttentionKernel &kernel) {
  Type index = library.indexType();
  Type ints = library.vectorType(IntegerType::get(library.context(), 32));
  return library.getOrCreate(kernel.name() + "_prefetch",
                             {library.bytesType(), ints, index, index, index, index, index},
                             [&](KernelBuilder &b, ValueRange a) {
                               TilePrefetch prefetch(b, kernel, a[0], a[1]);
                               prefetch.start({a[2], a[3], a[4], a[5], a[6]});
                               prefetch.emitAll();
                             });
}

} // namespace mlir::llm
