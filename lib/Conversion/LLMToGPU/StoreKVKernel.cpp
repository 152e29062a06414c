// Writing keys and values into a paged cache: a block for each (token, head), a thread for each
// channel, so that tokens need nothing of one another. Floor: the bytes read; keys are
// channel-major, so a token's key touches a sector for each channel.

#include "DeviceCache.h"
#include "GPUKernels.h"
#include "KernelLaunch.h"

#include "../LLMToCPU/CacheAddress.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

std::string elementName(Type element) {
  return element.isF32() ? "f32" : element.isF16() ? "f16" : "bf16";
}

/// Threads that take a channel each, in whole subgroups and not too many.
static int64_t threadsFor(const GPUTarget &target, const llmir_cache_layout &layout) {
  int64_t channels = std::max(layout.key_head_dim, layout.value_head_dim);
  return std::min<int64_t>(llvm::alignTo(channels, target.subgroupSize), 256);
}

static void emitKernel(GPUKernelBuilder &b, const llmir_cache_layout &layout,
                       ValueRange arguments) {
  Value keys = arguments[0], values = arguments[1], pool = arguments[2];
  Value slots = arguments[3], layer = arguments[4];
  Value token = b.blockId(gpu::Dimension::x), head = b.blockId(gpu::Dimension::y);
  Value slot = b.load(slots, token);
  b.ifThen(b.compare(arith::CmpIPredicate::sge, slot, b.i32(0)), [&] {
    DeviceCache cache(b, layout, pool, layer, head);
    Value position = b.toIndex(slot);
    Value block = b.div(position, b.index(layout.block_size));
    Value inBlock = b.rem(position, b.index(layout.block_size));
    Value row = b.add(b.mul(token, b.index(layout.num_kv_heads)), head);

    Value key = cache.keyAddress(block, inBlock);
    Value keyRow = b.mul(row, b.index(layout.key_head_dim));
    b.forMine(b.index(layout.key_head_dim), [&](Value channel) {
      cache.storeKey(b.extend(b.load(keys, b.add(keyRow, channel))), key, channel);
    });
    Value value = cache.valueAddress(block, inBlock);
    Value valueRow = b.mul(row, b.index(layout.value_head_dim));
    b.forMine(b.index(layout.value_head_dim), [&](Value channel) {
      cache.storeValue(b.extend(b.load(values, b.add(valueRow, channel))), value, channel);
    });
  });
}

func::FuncOp getLaunch(GPUKernelLibrary &library, const StoreKVDeviceKernel &kernel) {
  const llmir_cache_layout &layout = kernel.layout;
  std::string name = "store_kv_" + cacheName(layout) + "_" + elementName(kernel.element);
  MemRefType rows = library.vectorType(kernel.element);
  SmallVector<Type> types = {rows, rows, library.bytesType(), library.intsType(),
                             library.indexType()};
  gpu::GPUFuncOp device = library.getOrCreateKernel(
      name, types, threadsFor(library.getTarget(), layout),
      [&](GPUKernelBuilder &b, ValueRange arguments) { emitKernel(b, layout, arguments); });
  return library.getOrCreateHostFunction(
      "launch_" + name, types, [&](KernelBuilder &b, ValueRange arguments) {
        Value tokens = memref::DimOp::create(b, arguments[3], 0);
        b.ifThen(b.compare(arith::CmpIPredicate::ne, tokens, b.index(0)), [&] {
          KernelLaunch launch(b);
          Value keys = launch.toDevice(arguments[0]), values = launch.toDevice(arguments[1]);
          Value slots = launch.toDevice(arguments[3]);
          launch.launch(device, {tokens, b.index(layout.num_kv_heads), b.index(1)},
                        {keys, values, arguments[2], slots, arguments[4]});
          launch.finish();
        });
      });
}

} // namespace mlir::llm
