// Writing keys and values into a paged cache through llmir_cache_layout, quantised as its type says
// (docs/CacheLayout.md). Floor: the lines touched; keys are channel-major, so a token's key touches
// a line for each channel.

#include "CacheAddress.h"
#include "CacheElements.h"
#include "Kernels.h"
#include "TokenEmitters.h"

#include "mlir/Dialect/Math/IR/Math.h"

namespace mlir::llm {

namespace {
/// Stores one side of a cache.
class SideEmitter {
public:
  SideEmitter(KernelBuilder &b, const llmir_cache_layout &layout, bool isKey, Value rows,
              Value base, Value constantScales)
      : b(b), side(isKey ? CacheSide::keys(layout) : CacheSide::values(layout)), rows(rows),
        base(base), constantScales(constantScales),
        unitStride(isKey ? layout.key_channel_stride : layout.value_channel_stride),
        interleave(isKey ? layout.key_interleave : 1),
        vectors(!isKey && layout.value_interleave == 1) {}

  /// Stores head `head` of `token`: `first` is the byte address of its channel 0, `scales` that of
  /// its first stored scale, `constant` the index of its constant one.
  void emit(Value token, Value head, Value first, Value scales, Value constant) {
    firstColumn = b.mul(head, b.index(side.headDim));
    this->token = token;
    if (!side.isQuantized())
      return emitPlain(first);
    int64_t streams = side.streams();
    int64_t groups = std::max<int64_t>(side.storedGroups(), 1);
    int64_t units = side.units() / std::max<int64_t>(groups / streams, 1);
    b.loop(b.index(0), b.index(side.units()), units, [&](Value unit) {
      SmallVector<Value> inverses;
      for (int64_t stream = 0; stream < streams; ++stream) {
        if (stream > 0 && groups == 1) {
          inverses.push_back(inverses.front());
          continue;
        }
        Value channel = b.add(unit, b.index(stream * side.units()));
        inverses.push_back(emitInverse(channel, groups, scales, constant));
      }
      b.loop(unit, b.add(unit, b.index(units)), 1, [&](Value at) {
        Value code;
        for (int64_t stream = 0; stream < streams; ++stream) {
          Value x = loadRow(b.add(at, b.index(stream * side.units())), 1);
          Value next = emitCode(b, side, inverses[stream] ? b.mul(x, inverses[stream]) : x);
          code = code ? Value(arith::OrIOp::create(b, code, shiftToHigh(next))) : next;
        }
        b.storeBytes(code, base, addressOf(first, at));
      });
    });
  }

private:
  Value shiftToHigh(Value code) {
    return arith::ShLIOp::create(b, code, b.splatInt(4, cast<VectorType>(code.getType())));
  }
  Value loadRow(Value channel, int64_t lanes) {
    return b.extend(b.loadVector(rows, {token, b.add(firstColumn, channel)}, lanes));
  }
  Value addressOf(Value first, Value unit) {
    if (interleave == 1)
      return b.add(first, b.mul(unit, b.index(unitStride)));
    Value whole = b.mul(b.div(unit, b.index(interleave)), b.index(unitStride));
    int64_t size = llmir_element_size(side.type);
    Value rest = b.mul(b.rem(unit, b.index(interleave)), b.index(size));
    return b.add(first, b.add(whole, rest));
  }

  void emitPlain(Value first) {
    Type element = cacheElementType(b, side.type);
    constexpr int64_t lanes = 8;
    int64_t whole = vectors ? side.headDim / lanes * lanes : 0;
    auto copy = [&](Value channel, int64_t count) {
      b.storeBytes(b.truncate(loadRow(channel, count), element), base, addressOf(first, channel));
    };
    if (whole > 0)
      b.loop(b.index(0), b.index(whole), lanes, [&](Value channel) { copy(channel, lanes); });
    if (whole < side.headDim)
      b.loop(b.index(whole), b.index(side.headDim), 1, [&](Value channel) { copy(channel, 1); });
  }

  /// 1 / scale of the group that starts at `channel` (0 for a scale of 0), having stored a computed
  /// scale; null when there is none.
  Value emitInverse(Value channel, int64_t groups, Value scales, Value constant) {
    Value scale;
    if (side.hasConstantScale()) {
      scale = b.broadcast(b.load(constantScales, constant), 1);
    } else if (side.storedGroups() == 0) {
      return Value();
    } else {
      // The streams of a packed side share one scale when there is one group.
      int64_t channels = side.headDim / groups;
      Value zero = b.splatF32(0.0, 1);
      Value largest = b.loop(b.index(0), b.index(channels), 1, zero,
                             [&](Value i, ValueRange carried) -> SmallVector<Value> {
                               Value x = loadRow(b.add(channel, i), 1);
                               x = math::AbsFOp::create(b, x);
                               return {b.maximum(carried[0], x)};
                             })
                          .front();
      Value stored = emitScale(b, side, largest);
      Value group = b.div(channel, b.index(channels));
      b.storeBytes(stored, base, b.add(scales, b.mul(group, b.index(side.scaleStride))));
      scale = b.extend(stored);
    }
    Value zero = b.splatF32(0.0, 1);
    Value isPositive = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, scale, zero);
    return b.select(isPositive, b.div(b.splatF32(1.0, 1), scale), zero);
  }

  KernelBuilder &b;
  CacheSide side;
  Value rows, base, constantScales;
  int64_t unitStride, interleave;
  bool vectors; ///< Channels of a token lie side by side.
  Value token, firstColumn;
};
} // namespace

SmallVector<Type> scaleArguments(KernelLibrary &library, const llmir_cache_layout &layout) {
  SmallVector<Type> types;
  for (const CacheSide &side : {CacheSide::keys(layout), CacheSide::values(layout)})
    if (side.hasConstantScale())
      types.push_back(library.vectorType(Float32Type::get(library.context())));
  return types;
}

func::FuncOp getKernel(KernelLibrary &library, const StoreKVKernel &kernel) {
  MLIRContext *context = library.context();
  Type index = library.indexType();
  Type ints = library.vectorType(IntegerType::get(context, 32));
  const llmir_cache_layout &layout = kernel.layout;
  SmallVector<Type> types = {index, index, kernel.keys, kernel.values, library.bytesType(),
                             ints,  index};
  llvm::append_range(types, scaleArguments(library, layout));
  return library.getOrCreate(
      "store_kv_" + cacheName(layout), types, [&](KernelBuilder &b, ValueRange arguments) {
        StoreKVArguments store = {arguments[2], arguments[3], arguments[4],
                                  arguments[5], arguments[6], arguments.drop_front(7)};
        HeadRange heads{b.index(0), b.index(layout.num_kv_heads)};
        b.loop(arguments[0], arguments[1], 1,
               [&](Value token) { emitStoreKV(b, layout, store, token, heads); });
      });
}

void emitStoreKV(KernelBuilder &b, const llmir_cache_layout &layout,
                 const StoreKVArguments &arguments, Value token, const HeadRange &heads) {
  ValueRange scales = arguments.scales;
  Value keyScales, valueScales;
  if (CacheSide::keys(layout).hasConstantScale()) {
    keyScales = scales.front();
    scales = scales.drop_front();
  }
  if (!scales.empty())
    valueScales = scales.front();
  Value layer = arguments.layer;
  SideEmitter keys(b, layout, /*isKey=*/true, arguments.keys, arguments.base, keyScales);
  SideEmitter values(b, layout, /*isKey=*/false, arguments.values, arguments.base, valueScales);
  int64_t scaleSize = llmir_element_size(layout.scale_type);

  Value slot = b.load(arguments.slots, token);
  b.ifThen(b.compare(arith::CmpIPredicate::sge, slot, b.i32(0)), [&] {
    Value position = b.toIndex(slot);
    Value block = b.div(position, b.index(layout.block_size));
    Value inBlock = b.rem(position, b.index(layout.block_size));
    b.loop(heads.first, heads.last, 1, [&](Value head) {
      Value address = emitHeadAddress(b, layout, block, layer, head);
      Value constant = b.add(b.mul(layer, b.index(layout.num_kv_heads)), head);
      Value scaleAt = b.add(address, b.mul(inBlock, b.index(scaleSize)));
      keys.emit(token, head, b.add(address, b.mul(inBlock, b.index(layout.key_token_stride))),
                b.add(scaleAt, b.index(layout.key_scale_offset)), constant);
      Value value = b.add(address, b.index(layout.value_offset));
      value = b.add(value, emitValueTokenOffset(b, layout, inBlock));
      values.emit(token, head, value, b.add(scaleAt, b.index(layout.value_scale_offset)), constant);
    });
  });
}

} // namespace mlir::llm
