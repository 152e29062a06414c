// Writing keys and values into a paged cache through llmir_cache_layout. Floor: the lines touched;
// keys are channel-major, so a token's key touches a line for each channel.

#include "CacheAddress.h"
#include "Kernels.h"

namespace mlir::llm {

func::FuncOp getKernel(KernelLibrary &library, const StoreKVKernel &kernel) {
  MLIRContext *context = library.context();
  Type index = library.indexType();
  Type ints = library.vectorType(IntegerType::get(context, 32));
  const llmir_cache_layout &layout = kernel.layout;
  return library.getOrCreate(
      "store_kv_" + cacheName(layout),
      {index, index, kernel.keys, kernel.values, library.bytesType(), ints, index},
      [&](KernelBuilder &b, ValueRange arguments) {
        Value keys = arguments[2], values = arguments[3], base = arguments[4];
        Value slots = arguments[5], layer = arguments[6];
        Type keyType = cacheElementType(b, layout.key_type);
        Type valueType = cacheElementType(b, layout.value_type);

        auto storeOne = [&](Value rows, Value token, Value column, Type element, Value address) {
          Value value = b.extend(b.loadVector(rows, {token, column}, 1));
          b.storeBytes(b.truncate(value, element), base, address);
        };
        auto storeHead = [&](Value token, Value block, Value inBlock, Value head) {
          Value address = emitHeadAddress(b, layout, block, layer, head);
          Value key = b.add(address, b.mul(inBlock, b.index(layout.key_token_stride)));
          Value keyColumn = b.mul(head, b.index(layout.key_head_dim));
          b.loop(b.index(0), b.index(layout.key_head_dim), 1, [&](Value d) {
            storeOne(keys, token, b.add(keyColumn, d), keyType,
                     b.add(key, b.mul(d, b.index(layout.key_channel_stride))));
          });
          Value value = b.add(address, b.index(layout.value_offset));
          value = b.add(value, b.mul(inBlock, b.index(layout.value_token_stride)));
          Value valueColumn = b.mul(head, b.index(layout.value_head_dim));
          b.loop(b.index(0), b.index(layout.value_head_dim), 1, [&](Value d) {
            storeOne(values, token, b.add(valueColumn, d), valueType,
                     b.add(value, b.mul(d, b.index(layout.value_channel_stride))));
          });
        };

        b.loop(arguments[0], arguments[1], 1, [&](Value token) {
          Value slot = b.load(slots, token);
          b.ifThen(b.compare(arith::CmpIPredicate::sge, slot, b.i32(0)), [&] {
            Value position = b.toIndex(slot);
            Value block = b.div(position, b.index(layout.block_size));
            Value inBlock = b.rem(position, b.index(layout.block_size));
            b.loop(b.index(0), b.index(layout.num_kv_heads), 1,
                   [&](Value head) { storeHead(token, block, inBlock, head); });
          });
        });
      });
}

} // namespace mlir::llm
