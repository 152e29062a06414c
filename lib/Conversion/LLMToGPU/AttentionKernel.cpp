// Attention over a paged cache: which kernels there are and how they are launched. Decoding cuts
// the keys of a token over several blocks (splits of fixed length) that leave their states in
// memory for a merging kernel; with many tokens a block takes all splits of its rows itself. Both
// give the same bytes.
//
// Floor, decoding: the bytes of keys and values over the memory's bandwidth.

#include "AttentionEmitter.h"
#include "KernelLaunch.h"

#include "../LLMToCPU/CacheAddress.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

using Tile = AttentionGeometry::Tile;

/// What names and kernels of one op share.
static std::string nameOf(const AttentionDeviceKernel &kernel) {
  std::string name = std::to_string(kernel.heads) + "_" + cacheName(kernel.layout) + "_" +
                     elementName(kernel.element);
  for (auto [isThere, feature] :
       {std::pair(kernel.softCap > 0, "_cap"), std::pair(kernel.alibiSlopes, "_alibi"),
        std::pair(kernel.sinkLogits, "_sinks"), std::pair(kernel.treeMask, "_tree"),
        std::pair(kernel.positions, "_positions")})
    if (isThere)
      name += feature;
  return name;
}

/// A state in memory: the sums of a head's channels, then the maximum and the total.
static int64_t stateSize(const AttentionDeviceKernel &kernel) {
  return kernel.layout.value_head_dim + 2;
}

static Value emitStateAddress(KernelBuilder &b, const AttentionDeviceKernel &kernel, Value split,
                              Value tokens, Value token, Value head) {
  Value at = b.add(b.mul(split, tokens), token);
  at = b.add(b.mul(at, b.index(kernel.heads)), head);
  return b.mul(at, b.index(stateSize(kernel)));
}

namespace {
/// The state of a row, of which one channel is stored.
struct RowState {
  Value maximum, total, sum;
};
} // namespace

/// `sinks` is null without learned sinks.
static void storeResult(GPUKernelBuilder &b, const AttentionDeviceKernel &kernel, RowState state,
                        Value sinks, Value output, const AttentionEmitter::RowChannel &at) {
  if (sinks) {
    Value sink = b.mul(b.load(sinks, at.head), b.f32(llvm::numbers::log2e));
    Value rescale = addSink(b, sink, state.maximum, state.total);
    state.sum = b.mul(state.sum, rescale);
  }
  // A token that sees nothing has no weights: its result is zero. A NaN stays one.
  Value isEmpty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, state.total, b.f32(0.0));
  Value inverse = b.div(b.f32(1.0), state.total);
  Value result = b.select(isEmpty, b.f32(0.0), b.mul(state.sum, inverse));
  Value row = b.add(b.mul(at.token, b.index(kernel.heads)), at.head);
  Value element = b.add(b.mul(row, b.index(kernel.layout.value_head_dim)), at.channel);
  b.store(b.truncate(result, kernel.element), output, element);
}

//===--- The kernels -------------------------------------------------------------------------===//

/// All splits of a tile of tokens. Arguments: the operands, output.
static gpu::GPUFuncOp getPrefillKernel(GPUKernelLibrary &library,
                                       const AttentionDeviceKernel &kernel,
                                       const AttentionGeometry &geometry) {
  SmallVector<Type> types = AttentionOperands::types(library, kernel);
  types.push_back(library.vectorType(kernel.element));
  int64_t length = library.getTarget().splitTokens;
  return library.getOrCreateKernel(
      "paged_attention_" + nameOf(kernel), types, AttentionGeometry::kThreads,
      [&](GPUKernelBuilder &b, ValueRange arguments) {
        AttentionOperands operands = AttentionOperands::from(kernel, arguments);
        Value output = arguments[AttentionOperands::count(kernel)];
        AttentionEmitter emitter(b, kernel, geometry, operands);
        emitter.forTile([&] {
          int64_t rows = geometry.rows();
          SmallVector<Value> results =
              b.loop(b.index(0), emitter.end(), length, emitter.emptyState().flatten(),
                     [&](Value begin, ValueRange carried) -> SmallVector<Value> {
                       Value end = b.minimum(b.add(begin, b.index(length)), emitter.end());
                       SoftmaxState split = emitter.emitSplit(begin, end);
                       SoftmaxState before = SoftmaxState::unflatten(carried, rows);
                       return before.merge(b, split).flatten();
                     });
          SoftmaxState state = SoftmaxState::unflatten(results, rows);
          emitter.forOwnedChannels([&](const AttentionEmitter::RowChannel &at) {
            RowState row{state.maxima[at.row], state.totals[at.row], state.sumOf(at.row, at.part)};
            storeResult(b, kernel, row, operands.sinks, output, at);
          });
        });
      });
}

/// One split (the block's z) of a token. Arguments: the operands, states memref<?xf32>, number of
/// tokens (index).
static gpu::GPUFuncOp getSplitKernel(GPUKernelLibrary &library, const AttentionDeviceKernel &kernel,
                                     const AttentionGeometry &geometry) {
  SmallVector<Type> types = AttentionOperands::types(library, kernel);
  types.append({library.floatsType(), library.indexType()});
  int64_t length = library.getTarget().splitTokens;
  return library.getOrCreateKernel(
      "paged_attention_split_" + nameOf(kernel), types, AttentionGeometry::kThreads,
      [&](GPUKernelBuilder &b, ValueRange arguments) {
        AttentionOperands operands = AttentionOperands::from(kernel, arguments);
        size_t count = AttentionOperands::count(kernel);
        Value states = arguments[count];
        Value tokens = arguments[count + 1];
        Value split = b.blockId(gpu::Dimension::z);
        AttentionEmitter emitter(b, kernel, geometry, operands);
        emitter.forTile([&] {
          Value begin = b.mul(split, b.index(length));
          b.ifThen(b.isLess(begin, emitter.end()), [&] {
            Value end = b.minimum(b.add(begin, b.index(length)), emitter.end());
            SoftmaxState state = emitter.emitSplit(begin, end);
            emitter.forOwnedChannels([&](const AttentionEmitter::RowChannel &at) {
              Value to = emitStateAddress(b, kernel, split, tokens, at.token, at.head);
              b.store(state.sumOf(at.row, at.part), states, b.add(to, at.channel));
              b.ifThen(b.compare(arith::CmpIPredicate::eq, at.channel, b.index(0)), [&] {
                Value last = b.add(to, b.index(kernel.layout.value_head_dim));
                b.store(state.maxima[at.row], states, last);
                b.store(state.totals[at.row], states, b.add(last, b.index(1)));
              });
            });
          });
        });
      });
}

/// Keys that `token` sees, 0 for one of no sequence.
static Value emitVisible(GPUKernelBuilder &b, Value contextLengths, Value cuLengths, Value token) {
  Value sequences = memref::DimOp::create(b, contextLengths, 0);
  return b.loop(b.index(0), sequences, 1, b.index(0),
                [&](Value sequence, ValueRange carried) -> SmallVector<Value> {
                  Value first = b.toIndex(b.load(cuLengths, sequence));
                  Value last = b.toIndex(b.load(cuLengths, b.add(sequence, b.index(1))));
                  Value context = b.toIndex(b.load(contextLengths, sequence));
                  Value starts = b.compare(arith::CmpIPredicate::sge, token, first);
                  Value isHere = arith::AndIOp::create(b, starts, b.isLess(token, last));
                  Value visible = b.add(b.sub(b.add(context, token), last), b.index(1));
                  return {b.select(isHere, visible, carried[0])};
                })[0];
}

/// Merges the splits of a (token, head). Arguments: states, number of tokens, context lengths,
/// cumulative lengths, output; learned sinks, if any.
static gpu::GPUFuncOp getMergeKernel(GPUKernelLibrary &library,
                                     const AttentionDeviceKernel &kernel) {
  SmallVector<Type> types = {library.floatsType(), library.indexType(), library.intsType(),
                             library.intsType(), library.vectorType(kernel.element)};
  if (kernel.sinkLogits)
    types.push_back(library.floatsType());
  int64_t length = library.getTarget().splitTokens, channels = kernel.layout.value_head_dim;
  return library.getOrCreateKernel(
      "paged_attention_merge_" + nameOf(kernel), types, AttentionGeometry::kThreads,
      [&](GPUKernelBuilder &b, ValueRange arguments) {
        Value states = arguments[0], tokens = arguments[1], output = arguments[4];
        Value token = b.blockId(gpu::Dimension::x), head = b.blockId(gpu::Dimension::y);
        Value visible = emitVisible(b, arguments[2], arguments[3], token);
        Value splits =
            b.div(b.add(b.maximum(visible, b.index(0)), b.index(length - 1)), b.index(length));
        b.forMine(b.index(channels), [&](Value channel) {
          SmallVector<Value> results =
              b.loop(b.index(0), splits, 1, SoftmaxState::empty(b, 1, 1).flatten(),
                     [&](Value split, ValueRange carried) -> SmallVector<Value> {
                       Value from = emitStateAddress(b, kernel, split, tokens, token, head);
                       Value last = b.add(from, b.index(channels));
                       SoftmaxState next;
                       next.maxima = {b.load(states, last)};
                       next.totals = {b.load(states, b.add(last, b.index(1)))};
                       next.sums = {b.load(states, b.add(from, channel))};
                       SoftmaxState before = SoftmaxState::unflatten(carried, 1);
                       return before.merge(b, next).flatten();
                     });
          storeResult(b, kernel, {results[0], results[1], results[2]},
                      kernel.sinkLogits ? arguments[5] : Value(), output,
                      {0, 0, token, head, channel});
        });
      });
}

//===--- The launch --------------------------------------------------------------------------===//

namespace {
/// The arguments of a launch function, those that kernels read on the device.
struct LaunchArguments {
  SmallVector<Value> operands; ///< As AttentionOperands.
  Value tokens, sequences, output;
  Value sinks; ///< The operand, or null.
};
} // namespace

/// Blocks that hold the tiles of all sequences, whatever their lengths.
static Value emitTiles(KernelBuilder &b, const LaunchArguments &in, int64_t tileTokens) {
  Value padding = b.mul(in.sequences, b.index(tileTokens - 1));
  return b.div(b.add(in.tokens, padding), b.index(tileTokens));
}

static void launchPrefill(GPUKernelLibrary &library, KernelBuilder &b,
                          const AttentionDeviceKernel &kernel, const LaunchArguments &in) {
  AttentionGeometry geometry =
      AttentionGeometry::get(library.getTarget(), kernel, Tile::ManyTokens);
  gpu::GPUFuncOp device = getPrefillKernel(library, kernel, geometry);
  Value heads = b.index(kernel.layout.num_kv_heads * geometry.groupParts);
  SmallVector<Value> arguments(in.operands);
  arguments.push_back(in.output);
  KernelLaunch(b).launch(device, {emitTiles(b, in, geometry.tileTokens), heads, b.index(1)},
                         arguments);
}

static void launchDecode(GPUKernelLibrary &library, KernelBuilder &b,
                         const AttentionDeviceKernel &kernel, const LaunchArguments &in) {
  AttentionGeometry geometry = AttentionGeometry::get(library.getTarget(), kernel, Tile::OneToken);
  gpu::GPUFuncOp split = getSplitKernel(library, kernel, geometry);
  gpu::GPUFuncOp merge = getMergeKernel(library, kernel);
  int64_t length = library.getTarget().splitTokens;
  Value capacity = b.mul(in.operands[3], b.index(kernel.layout.block_size));
  Value splits = b.div(b.add(capacity, b.index(length - 1)), b.index(length));
  Value size = b.mul(b.mul(splits, in.tokens), b.index(kernel.heads * stateSize(kernel)));
  KernelLaunch launch(b);
  Value states = launch.deviceBuffer(library.floatsType(), size);
  Value heads = b.index(kernel.layout.num_kv_heads * geometry.groupParts);
  SmallVector<Value> arguments(in.operands);
  arguments.append({states, in.tokens});
  launch.launch(split, {emitTiles(b, in, geometry.tileTokens), heads, splits}, arguments);
  SmallVector<Value> merged = {states, in.tokens, in.operands[4], in.operands[5], in.output};
  if (in.sinks)
    merged.push_back(in.sinks);
  launch.launch(merge, {in.tokens, b.index(kernel.heads), b.index(1)}, merged);
  launch.finish();
}

static void emitLaunch(GPUKernelLibrary &library, KernelBuilder &b,
                       const AttentionDeviceKernel &kernel, ValueRange a) {
  KernelLaunch launch(b);
  LaunchArguments in;
  Value row = b.index(kernel.heads * kernel.layout.key_head_dim);
  in.tokens = b.div(memref::DimOp::create(b, a[0], 0), row);
  in.sequences = memref::DimOp::create(b, a[4], 0);
  b.ifThen(b.compare(arith::CmpIPredicate::ne, in.tokens, b.index(0)), [&] {
    constexpr double log2e = llvm::numbers::log2e;
    bool isCapped = kernel.softCap > 0;
    Value scale = b.f32(isCapped ? kernel.scale / kernel.softCap : kernel.scale * log2e);
    in.operands = {launch.toDevice(a[0]),
                   a[1],
                   launch.toDevice(a[2]),
                   a[3],
                   launch.toDevice(a[4]),
                   launch.toDevice(a[5]),
                   a[6],
                   scale};
    if (isCapped)
      in.operands.push_back(b.f32(kernel.softCap * log2e));
    for (Value optional : a.drop_front(8))
      in.operands.push_back(launch.toDevice(optional));
    in.sinks = AttentionOperands::from(kernel, in.operands).sinks;
    in.output = launch.deviceResult(a[7]);
    // On average a token a sequence: the keys are the work to share.
    Value isDecode = b.compare(arith::CmpIPredicate::sle, in.tokens, in.sequences);
    b.ifThen(
        isDecode, [&] { launchDecode(library, b, kernel, in); },
        [&] { launchPrefill(library, b, kernel, in); });
    launch.finish();
  });
}

func::FuncOp getLaunch(GPUKernelLibrary &library, const AttentionDeviceKernel &kernel) {
  std::string name = "launch_paged_attention_" + nameOf(kernel) + "_" +
                     llvm::utohexstr(llvm::bit_cast<uint64_t>(kernel.scale));
  if (kernel.softCap > 0)
    name += "_" + llvm::utohexstr(llvm::bit_cast<uint64_t>(kernel.softCap));
  // The kernel's operands but the scalars, which are static here, and the output.
  SmallVector<Type> operands = AttentionOperands::types(library, kernel);
  SmallVector<Type> types(ArrayRef(operands).take_front(7));
  types.push_back(library.vectorType(kernel.element));
  llvm::append_range(types, ArrayRef(operands).drop_front(kernel.softCap > 0 ? 9 : 8));
  return library.getOrCreateHostFunction(name, types, [&](KernelBuilder &b, ValueRange arguments) {
    emitLaunch(library, b, kernel, arguments);
  });
}

} // namespace mlir::llm
