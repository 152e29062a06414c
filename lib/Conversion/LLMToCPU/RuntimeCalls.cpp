// Calls of the seam: see RuntimeCalls.h.

#include "RuntimeCalls.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace mlir::llm {

Value emitMemRefAt(KernelBuilder &b, Value pointer, MemRefType type, Value size) {
  Type i64 = b.getI64Type();
  Type array = LLVM::LLVMArrayType::get(i64, 1);
  Type descriptorType = LLVM::LLVMStructType::getLiteral(
      b.getContext(), {pointer.getType(), pointer.getType(), i64, array, array});
  Value descriptor = LLVM::PoisonOp::create(b, descriptorType);
  auto insert = [&](Value value, ArrayRef<int64_t> position) {
    descriptor = LLVM::InsertValueOp::create(b, descriptor, value, position);
  };
  auto constant = [&](int64_t value) -> Value {
    return LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(value));
  };
  insert(pointer, {0});
  insert(pointer, {1});
  insert(constant(0), {2});
  insert(arith::IndexCastOp::create(b, i64, size), {3, 0});
  insert(constant(1), {4, 0});
  return UnrealizedConversionCastOp::create(b, TypeRange{type}, ValueRange{descriptor})
      .getResult(0);
}

Value emitPointerTo(KernelBuilder &b, Value memref) {
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  Value integer = arith::IndexCastOp::create(b, b.getI64Type(), address);
  return LLVM::IntToPtrOp::create(b, LLVM::LLVMPointerType::get(b.getContext()), integer);
}

/// Calls the function called `name`, declaring it when it is new.
static LLVM::CallOp emitCall(KernelBuilder &b, ModuleOp module, StringRef name, Type result,
                             ValueRange arguments) {
  auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!function) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    auto type = LLVM::LLVMFunctionType::get(result, SmallVector<Type>(arguments.getTypes()));
    function = LLVM::LLVMFuncOp::create(b, name, type);
  }
  return LLVM::CallOp::create(b, function, arguments);
}

void emitCacheAppend(KernelBuilder &b, ModuleOp module, Value handle, Value seqIds, Value batch,
                     Value tokens, Value slots, Value blocks) {
  emitCall(b, module, "llmir_rt_cache_append", b.getI32Type(),
           {handle, emitPointerTo(b, seqIds), batch, tokens, emitPointerTo(b, slots),
            emitPointerTo(b, blocks)});
}

void emitCacheBlockTable(KernelBuilder &b, ModuleOp module, Value handle, Value seqIds, Value batch,
                         Value maxBlocks, Value table) {
  emitCall(b, module, "llmir_rt_cache_block_table", b.getI32Type(),
           {handle, emitPointerTo(b, seqIds), batch, maxBlocks, emitPointerTo(b, table)});
}

Value emitCacheScales(KernelBuilder &b, ModuleOp module, Value handle, StringRef function) {
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  return emitCall(b, module, function, pointer, {handle}).getResult();
}

/// A constant global that holds the layout's bytes: equal layouts share one.
static LLVM::GlobalOp getLayoutGlobal(KernelBuilder &b, ModuleOp module,
                                      const llmir_cache_layout &layout) {
  StringRef bytes(reinterpret_cast<const char *>(&layout), sizeof(layout));
  int count = 0;
  for (auto global : module.getOps<LLVM::GlobalOp>()) {
    if (!global.getSymName().starts_with("cache_layout_"))
      continue;
    if (cast<StringAttr>(global.getValueAttr()).getValue() == bytes)
      return global;
    ++count;
  }
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(module.getBody());
  Type type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
  return LLVM::GlobalOp::create(b, type, /*isConstant=*/true, LLVM::Linkage::Internal,
                                "cache_layout_" + std::to_string(count), b.getStringAttr(bytes),
                                /*alignment=*/alignof(llmir_cache_layout));
}

Value emitCacheBase(KernelBuilder &b, ModuleOp module, Value handle,
                    const llmir_cache_layout &layout) {
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value expected = LLVM::AddressOfOp::create(b, getLayoutGlobal(b, module, layout));
  return emitCall(b, module, "llmir_rt_cache_base", pointer, {handle, expected}).getResult();
}

Value emitCacheCreate(KernelBuilder &b, ModuleOp module, const llmir_cache_layout &layout,
                      llmir_element_type elementType, Value numBlocks) {
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value address = LLVM::AddressOfOp::create(b, getLayoutGlobal(b, module, layout));
  return emitCall(b, module, "llmir_rt_cache_create", pointer,
                  {address, b.i32(elementType), numBlocks})
      .getResult();
}

void emitCacheFree(KernelBuilder &b, ModuleOp module, Value handle) {
  emitCall(b, module, "llmir_rt_cache_free", LLVM::LLVMVoidType::get(b.getContext()), {handle});
}

void emitCacheLookup(KernelBuilder &b, ModuleOp module, Value handle, const CacheLookup &lookup) {
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Type i64 = b.getI64Type(), i32 = b.getI32Type();
  // llmir_cache_lookup.
  Type record = LLVM::LLVMStructType::getLiteral(
      b.getContext(), {pointer, pointer, pointer, pointer, pointer, i64, i64, i64, i64, i32, i32});
  auto toI64 = [&](Value index) -> Value { return arith::IndexCastOp::create(b, i64, index); };
  Value fields[] = {LLVM::AddressOfOp::create(b, getLayoutGlobal(b, module, lookup.layout)),
                    emitPointerTo(b, lookup.table),
                    emitPointerTo(b, lookup.lengths),
                    emitPointerTo(b, lookup.keys),
                    emitPointerTo(b, lookup.values),
                    toI64(lookup.sequences),
                    toI64(lookup.tokens),
                    toI64(lookup.tableStride),
                    toI64(lookup.layer),
                    b.i32(lookup.elementType),
                    b.i32(0)};
  Value content = LLVM::PoisonOp::create(b, record);
  for (auto [index, field] : llvm::enumerate(fields))
    content = LLVM::InsertValueOp::create(b, content, field, static_cast<int64_t>(index));
  // At the function's entry, so that loops do not grow the stack.
  Value place;
  {
    OpBuilder::InsertionGuard guard(b);
    auto function = b.getInsertionBlock()->getParentOp();
    if (!isa<FunctionOpInterface>(function))
      function = function->getParentOfType<FunctionOpInterface>();
    b.setInsertionPointToStart(&function->getRegion(0).front());
    Value one = LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(1));
    place = LLVM::AllocaOp::create(b, pointer, record, one);
  }
  LLVM::StoreOp::create(b, content, place);
  emitCall(b, module, "llmir_rt_cache_lookup", i32, {handle, place});
}

} // namespace mlir::llm
