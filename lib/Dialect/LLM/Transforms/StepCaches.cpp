// Finding and exchanging the caches of a step: see StepCaches.h.

#include "StepCaches.h"

namespace mlir::llm {

//===----------------------------------------------------------------------===//
// Finding
//===----------------------------------------------------------------------===//

FailureOr<std::vector<StepCache>> StepCache::find(func::FuncOp step) {
  if (!llvm::hasSingleElement(step.getBody()))
    return step.emitOpError("expected a step of one block, but got ")
           << step.getBody().getBlocks().size();
  std::vector<StepCache> caches;
  for (BlockArgument argument : step.getArguments()) {
    auto type = dyn_cast<PagedKVCacheType>(argument.getType());
    if (!type)
      continue;
    if (argument.getArgNumber() + 2 >= step.getNumArguments())
      return step.emitOpError("expected slots and a table behind the cache ") << argument;
    StepCache cache;
    cache.type = type;
    cache.argument = argument.getArgNumber();
    cache.layers.resize(static_cast<size_t>(type.getNumLayers()));
    if (failed(cache.addUses(step, argument)))
      return failure();
    for (unsigned offset : {1, 2})
      for (Operation *user : step.getArgument(cache.argument + offset).getUsers())
        if (llvm::none_of(cache.layers,
                          [&](const auto &ops) { return llvm::is_contained(ops, user); }))
          return user->emitOpError("expected slots and table of a cache to be used with it alone");
    caches.push_back(std::move(cache));
  }
  return caches;
}

LogicalResult StepCache::addOp(func::FuncOp step, Operation *op, Value slotsOrTable,
                               unsigned offset, Value layerIndex, int64_t layer) {
  if (layerIndex)
    return op->emitOpError("expected the layer as an attribute in a step, but got an operand");
  if (slotsOrTable != step.getArgument(argument + offset))
    return op->emitOpError("expected the ")
           << (offset == 1 ? "slots" : "table") << " that the step received with the cache";
  layers[static_cast<size_t>(layer)].push_back(op);
  return success();
}

/// Follows the cache from op to op.
LogicalResult StepCache::addUses(func::FuncOp step, Value value) {
  while (value) {
    values.push_back(value);
    Value next;
    for (Operation *user : value.getUsers()) {
      LogicalResult added = success();
      if (auto attention = dyn_cast<PagedAttentionOp>(user)) {
        added = addOp(step, user, attention.getBlockTable(), 2, attention.getLayerIndex(),
                      attention.getLayer());
      } else if (auto store = dyn_cast<StoreKVOp>(user)) {
        added = addOp(step, user, store.getSlots(), 1, store.getLayerIndex(), store.getLayer());
        next = store.getNewCache();
      } else if (!isa<func::ReturnOp>(user)) {
        return user->emitOpError("expected llm.store_kv, llm.paged_attention or the step's return "
                                 "as the use of a cache");
      }
      if (failed(added))
        return failure();
    }
    value = next;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Exchanging
//===----------------------------------------------------------------------===//

/// Adds a cache with slots and table for each of `types` behind the arguments of the old one.
static SmallVector<Value> insertArguments(func::FuncOp step, unsigned after,
                                          ArrayRef<PagedKVCacheType> types) {
  SmallVector<unsigned> indices;
  SmallVector<Type> argumentTypes;
  SmallVector<Location> locations;
  for (PagedKVCacheType type : types) {
    for (unsigned offset = 0; offset < 3; ++offset) {
      BlockArgument old = step.getArgument(after - 3 + offset);
      indices.push_back(after);
      argumentTypes.push_back(offset == 0 ? Type(type) : old.getType());
      locations.push_back(old.getLoc());
    }
  }
  // It fails only for types that a function cannot have.
  LogicalResult inserted = step.insertArguments(indices, argumentTypes, /*argAttrs=*/{}, locations);
  assert(succeeded(inserted) && "expected func.func to take any argument");
  (void)inserted;
  SmallVector<Value> arguments;
  for (size_t i = 0; i < indices.size(); ++i)
    arguments.push_back(step.getArgument(after + static_cast<unsigned>(i)));
  return arguments;
}

void StepCache::exchange(func::FuncOp step, const StepCache &cache,
                         ArrayRef<PagedKVCacheType> types, ArrayRef<LayerPlace> places) {
  SmallVector<Value> arguments = insertArguments(step, cache.argument + 3, types);
  SmallVector<Value> current;
  for (size_t i = 0; i < types.size(); ++i)
    current.push_back(arguments[3 * i]);

  SmallVector<Operation *> ops;
  for (const auto &layer : cache.layers)
    ops.append(layer.begin(), layer.end());
  llvm::sort(ops, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  SmallVector<Operation *> replaced;
  for (Operation *op : ops) {
    if (auto attention = dyn_cast<PagedAttentionOp>(op)) {
      LayerPlace place = places[attention.getLayer()];
      attention.getCacheMutable().assign(current[place.cache]);
      attention.getBlockTableMutable().assign(arguments[3 * place.cache + 2]);
      attention.setLayer(static_cast<uint32_t>(place.layer));
      continue;
    }
    auto store = cast<StoreKVOp>(op);
    LayerPlace place = places[store.getLayer()];
    OpBuilder builder(op);
    auto renewed =
        StoreKVOp::create(builder, op->getLoc(), types[place.cache], current[place.cache],
                          store.getKeys(), store.getValues(), arguments[3 * place.cache + 1],
                          /*layer_index=*/Value(), static_cast<uint32_t>(place.layer));
    current[place.cache] = renewed.getNewCache();
    replaced.push_back(op);
  }

  Operation *end = step.front().getTerminator();
  SmallVector<Value> results;
  for (Value result : end->getOperands()) {
    if (result == cache.values.back())
      results.append(current);
    else
      results.push_back(result);
  }
  end->setOperands(results);
  for (Operation *op : llvm::reverse(replaced))
    op->erase();
  llvm::BitVector erased(step.getNumArguments());
  erased.set(cache.argument, cache.argument + 3);
  LogicalResult gone = step.eraseArguments(erased);
  assert(succeeded(gone) && "expected func.func to lose any argument");
  (void)gone;
  step.setFunctionType(
      FunctionType::get(step.getContext(), step.getArgumentTypes(), end->getOperandTypes()));
}

} // namespace mlir::llm
