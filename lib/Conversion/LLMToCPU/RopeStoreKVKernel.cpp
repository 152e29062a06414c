// Rotating queries and keys and storing keys and values, token by token: the parts are those of
// RopeKernel and StoreKVKernel, so the bytes are theirs. A token's keys are stored while they are
// in the worker's first cache.

#include "CacheAddress.h"
#include "TokenEmitters.h"

namespace mlir::llm {

func::FuncOp getKernel(KernelLibrary &library, const RopeStoreKVKernel &kernel) {
  MLIRContext *context = library.context();
  Type index = library.indexType();
  const llmir_cache_layout &layout = kernel.layout;
  std::string name = "rope_store_kv_" + kernel.keys.name();
  SmallVector<Type> types = {index, index, kernel.keys.table};
  for (const RopeKernel &query : kernel.queries) {
    name += "_" + query.name();
    types.append({query.input, query.output});
  }
  types.append({kernel.keys.input, kernel.keys.output, kernel.values, library.bytesType(),
                library.vectorType(IntegerType::get(context, 32)), index});
  llvm::append_range(types, scaleArguments(library, layout));
  return library.getOrCreate(
      name + "_" + cacheName(layout), types, [&](KernelBuilder &b, ValueRange arguments) {
        b.loop(arguments[0], arguments[1], 1, [&](Value token) {
          Value table = arguments[2];
          size_t next = 3;
          for (const RopeKernel &query : kernel.queries) {
            emitRotation(b, query, {table, arguments[next], arguments[next + 1]}, token);
            next += 2;
          }
          Value keys = arguments[next + 1];
          emitRotation(b, kernel.keys, {table, arguments[next], keys}, token);
          emitStoreKV(b, layout,
                      {keys, arguments[next + 2], arguments[next + 3], arguments[next + 4],
                       arguments[next + 5], arguments.drop_front(next + 6)},
                      token);
        });
      });
}

} // namespace mlir::llm
