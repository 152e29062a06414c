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
  ConstantScales scales;
  ValueRange rest = arguments.drop_front(5);
  if (CacheSide::keys(layout).hasConstantScale()) {
    scales.keys = rest.front();
    rest = rest.drop_front();
  }
  if (CacheSide::values(layout).hasConstantScale())
    scales.values = rest.front();
  Value scratch;
  if (CacheSide::keys(layout).storedGroups() > 0 || CacheSide::values(layout).storedGroups() > 0)
    scratch = b.workgroupBuffer(b.getF32Type(), b.numSubgroups());
  Value token = b.blockId(gpu::Dimension::x), head = b.blockId(gpu::Dimension::y);
  Value slot = b.load(slots, token);
  b.ifThen(b.compare(arith::CmpIPredicate::sge, slot, b.i32(0)), [&] {
    DeviceCache cache(b, layout, pool, layer, head, scales);
    Value position = b.toIndex(slot);
    Value block = b.div(position, b.index(layout.block_size));
    Value inBlock = b.rem(position, b.index(layout.block_size));
    Value row = b.add(b.mul(token, b.index(layout.num_kv_heads)), head);
    auto store = [&](DeviceCacheSide &side, Value rows) {
      Value first = b.mul(row, b.index(side.side().headDim));
      side.store(
          side.at(block, inBlock),
          [&](Value channel) { return b.extend(b.load(rows, b.add(first, channel))); }, scratch);
    };
    store(cache.keys, keys);
    store(cache.values, values);
  });
}

func::FuncOp getLaunch(GPUKernelLibrary &library, const StoreKVDeviceKernel &kernel) {
  const llmir_cache_layout &layout = kernel.layout;
  std::string name = "store_kv_" + cacheName(layout) + "_" + elementName(kernel.element);
  MemRefType rows = library.vectorType(kernel.element);
  SmallVector<Type> types = {rows, rows, library.bytesType(), library.intsType(),
                             library.indexType()};
  for (const CacheSide &side : {CacheSide::keys(layout), CacheSide::values(layout)})
    if (side.hasConstantScale())
      types.push_back(library.floatsType());
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
          SmallVector<Value> operands = {keys, values, arguments[2], slots, arguments[4]};
          for (Value scales : arguments.drop_front(5))
            operands.push_back(launch.toDevice(scales));
          launch.launch(device, {tokens, b.index(layout.num_kv_heads), b.index(1)}, operands);
          launch.finish();
        });
      });
}

} // namespace mlir::llm
