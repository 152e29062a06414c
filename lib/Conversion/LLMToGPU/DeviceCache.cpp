// Addresses, reads and writes of a paged cache in kernels: see DeviceCache.h.

#include "DeviceCache.h"

#include "../LLMToCPU/CacheAddress.h"

namespace mlir::llm {

DeviceCache::DeviceCache(GPUKernelBuilder &b, const llmir_cache_layout &layout, Value pool,
                         Value layer, Value head, const ConstantScales &scales)
    : keys(b, layout, DeviceCacheSide::Which::Keys, pool, layer, head, scales.keys),
      values(b, layout, DeviceCacheSide::Which::Values, pool, layer, head, scales.values) {}

DeviceCacheSide::DeviceCacheSide(GPUKernelBuilder &builder, const llmir_cache_layout &layout,
                                 Which which, Value pool, Value layer, Value head,
                                 Value constantScales)
    : b(builder), layout(layout),
      description(which == Which::Keys ? CacheSide::keys(layout) : CacheSide::values(layout)),
      layer(layer), head(head) {
  bool isKeys = which == Which::Keys;
  // Two elements of i4 share a byte, which is addressed as one.
  size = std::max<int64_t>(llmir_element_size(description.type), 1);
  // Every part of a layout starts at a multiple of its elements' size.
  offset = (isKeys ? 0 : layout.value_offset) / size;
  tokenStride = (isKeys ? layout.key_token_stride : layout.value_token_stride) / size;
  channelStride = (isKeys ? layout.key_channel_stride : layout.value_channel_stride) / size;
  channelInterleave = isKeys ? layout.key_interleave : 1;
  tokenInterleave = isKeys ? 1 : layout.value_interleave;
  elements = b.viewBytes(pool, cacheElementType(b, description.type));
  if (description.storedGroups() > 0)
    scales = b.viewBytes(pool, cacheElementType(b, description.scaleType));
  if (description.hasConstantScale()) {
    Value at = b.add(b.mul(layer, b.index(layout.num_kv_heads)), head);
    constant = b.load(constantScales, at);
  }
}

//===--- Addresses ----------------------------------------------------------------------------===//

DeviceCacheSide::Token DeviceCacheSide::at(Value block, Value inBlock) {
  auto headAt = [&](int64_t unitBytes) {
    Value address = b.mul(block, b.index(layout.block_stride / unitBytes));
    address = b.add(address, b.mul(layer, b.index(layout.layer_stride / unitBytes)));
    return b.add(address, b.mul(head, b.index(layout.head_stride / unitBytes)));
  };
  Token token;
  token.elements = b.add(headAt(size), b.index(offset));
  if (tokenInterleave == 1) {
    token.elements = b.add(token.elements, b.mul(inBlock, b.index(tokenStride)));
  } else {
    Value pair = b.div(inBlock, b.index(tokenInterleave));
    Value rest = b.rem(inBlock, b.index(tokenInterleave));
    token.elements = b.add(token.elements, b.add(b.mul(pair, b.index(tokenStride)), rest));
  }
  if (scales) {
    int64_t scaleSize = llmir_element_size(description.scaleType);
    token.scales = b.add(headAt(scaleSize), b.index(description.scaleOffset / scaleSize));
    token.scales = b.add(token.scales, inBlock);
  }
  return token;
}

Value DeviceCacheSide::unitAt(const Token &token, Value unit) {
  if (channelInterleave == 1)
    return b.add(token.elements, b.mul(unit, b.index(channelStride)));
  Value pair = b.div(unit, b.index(channelInterleave));
  Value rest = b.rem(unit, b.index(channelInterleave));
  return b.add(token.elements, b.add(b.mul(pair, b.index(channelStride)), rest));
}

//===--- Reading ------------------------------------------------------------------------------===//

/// The scale of a channel, or null.
Value DeviceCacheSide::scaleOf(const Token &token, Value channel) {
  if (!scales)
    return constant;
  int64_t scaleSize = llmir_element_size(description.scaleType);
  Value at = token.scales;
  if (description.storedGroups() > 1) {
    Value group = b.div(channel, b.index(description.groupChannels()));
    at = b.add(at, b.mul(group, b.index(description.scaleStride / scaleSize)));
  }
  return b.extend(b.load(scales, at));
}

Value DeviceCacheSide::load(const Token &token, Value channel) {
  Value raw;
  if (description.isPacked()) {
    Value units = b.index(description.units());
    Value byte = b.load(elements, unitAt(token, b.rem(channel, units)));
    Type i8 = b.getI8Type();
    auto constant8 = [&](int64_t value) -> Value {
      return arith::ConstantOp::create(b, b.getIntegerAttr(i8, value));
    };
    Value isLow = b.isLess(channel, units);
    raw = b.select(isLow, arith::AndIOp::create(b, byte, constant8(15)).getResult(),
                   arith::ShRUIOp::create(b, byte, constant8(4)).getResult());
  } else {
    raw = b.load(elements, unitAt(token, channel));
  }
  Value value = decodeElement(b, description, raw);
  Value scale = scaleOf(token, channel);
  return scale ? b.mul(scale, value) : value;
}

//===--- Writing ------------------------------------------------------------------------------===//

/// 1 / scale of the group that starts at `firstChannel` (0 for a scale of 0), having stored a scale
/// that is computed; null when there is none.
Value DeviceCacheSide::emitInverse(const Token &token, Value firstChannel,
                                   llvm::function_ref<Value(Value)> source, Value scratch) {
  Value scale = constant;
  if (scales) {
    Value count = b.index(description.groupChannels());
    SmallVector<Value> largest =
        b.loop(b.threadId(), count, b.threads(), b.f32(0.0),
               [&](Value i, ValueRange carried) -> SmallVector<Value> {
                 return {b.maximum(carried[0], b.absolute(source(b.add(firstChannel, i))))};
               });
    // A group before this one may still be read.
    b.barrier();
    largest = b.reduceBlock(largest, scratch, [&](Value x, Value y) { return b.maximum(x, y); });
    Value stored = encodeScale(b, description, largest[0]);
    int64_t scaleSize = llmir_element_size(description.scaleType);
    Value group = b.div(firstChannel, count);
    Value at = b.add(token.scales, b.mul(group, b.index(description.scaleStride / scaleSize)));
    b.ifThen(b.compare(arith::CmpIPredicate::eq, b.threadId(), b.index(0)),
             [&] { b.store(stored, scales, at); });
    scale = b.extend(stored);
  }
  if (!scale)
    return Value();
  Value inverse = b.div(b.f32(1.0), scale);
  return b.select(b.greaterThan(scale, b.f32(0.0)), inverse, b.f32(0.0));
}

void DeviceCacheSide::store(const Token &token, llvm::function_ref<Value(Value)> source,
                            Value scratch) {
  if (!description.isQuantized()) {
    Type type = cacheElementType(b, description.type);
    b.forMine(b.index(description.headDim), [&](Value channel) {
      b.store(b.truncate(source(channel), type), elements, unitAt(token, channel));
    });
    return;
  }
  int64_t streams = description.streams(), units = description.units();
  int64_t groups = std::max<int64_t>(description.storedGroups(), 1);
  // Of several groups each half of a packed row has its own.
  int64_t steps = std::max<int64_t>(groups / streams, 1);
  int64_t unitsPerStep = units / steps;
  b.loop(b.index(0), b.index(units), unitsPerStep, [&](Value first) {
    SmallVector<Value> inverses;
    for (int64_t stream = 0; stream < streams; ++stream) {
      bool isShared = stream > 0 && groups == 1;
      Value channel = b.add(first, b.index(stream * units));
      inverses.push_back(isShared ? inverses.front()
                                  : emitInverse(token, channel, source, scratch));
    }
    b.forMine(b.index(unitsPerStep), [&](Value i) {
      Value unit = b.add(first, i), byte;
      for (int64_t stream = 0; stream < streams; ++stream) {
        Value x = source(b.add(unit, b.index(stream * units)));
        Value inverse = inverses[static_cast<size_t>(stream)];
        Value code = encodeElement(b, description, inverse ? b.mul(x, inverse) : x);
        if (stream > 0) {
          Value four = arith::ConstantOp::create(b, b.getIntegerAttr(b.getI8Type(), 4));
          code = arith::OrIOp::create(b, byte, arith::ShLIOp::create(b, code, four));
        }
        byte = code;
      }
      b.store(byte, elements, unitAt(token, unit));
    });
  });
}

} // namespace mlir::llm
