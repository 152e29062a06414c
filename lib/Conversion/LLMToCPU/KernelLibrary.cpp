// Generating each tile function once: see KernelLibrary.h.

#include "KernelLibrary.h"

#include "mlir/Dialect/LLVMIR/LLVMAttrs.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

func::FuncOp KernelLibrary::getOrCreate(StringRef name, TypeRange argumentTypes, Body body) {
  return getOrCreate(name, argumentTypes, {},
                     [&](KernelBuilder &builder, ValueRange arguments) -> SmallVector<Value> {
                       body(builder, arguments);
                       return {};
                     });
}

func::FuncOp KernelLibrary::getOrCreate(StringRef name, TypeRange argumentTypes,
                                        TypeRange resultTypes, ValueBody body) {
  std::string key;
  llvm::raw_string_ostream stream(key);
  stream << name;
  llvm::interleave(argumentTypes, stream, [&](Type type) { stream << type; }, ",");
  auto [entry, isNew] = functions.try_emplace(key);
  if (!isNew)
    return entry->second;

  int number = names[name]++;
  std::string symbol = name.str();
  if (number > 0)
    symbol += "_" + std::to_string(number);

  OpBuilder builder(context());
  builder.setInsertionPointToEnd(module.getBody());
  auto type = FunctionType::get(context(), argumentTypes, resultTypes);
  auto function = func::FuncOp::create(builder, module.getLoc(), symbol, type);
  function.setPrivate();
  function->setAttr("llvm.linkage",
                    LLVM::LinkageAttr::get(context(), LLVM::linkage::Linkage::Internal));
  // func.func's own no_inline does not reach LLVM.
  function->setAttr("passthrough", builder.getStrArrayAttr({"noinline"}));
  entry->second = function;

  Block *block = function.addEntryBlock();
  KernelBuilder kernel(module.getLoc(), context());
  kernel.setInsertionPointToStart(block);
  func::ReturnOp::create(kernel, body(kernel, block->getArguments()));
  return function;
}

std::string KernelLibrary::getOrCreateConstant(StringRef name, ArrayRef<float> numbers) {
  auto type =
      RankedTensorType::get({static_cast<int64_t>(numbers.size())}, Float32Type::get(context()));
  return getOrCreateConstant(name, DenseElementsAttr::get(type, numbers));
}

std::string KernelLibrary::getOrCreateConstant(StringRef name, ArrayRef<double> numbers) {
  auto type =
      RankedTensorType::get({static_cast<int64_t>(numbers.size())}, Float64Type::get(context()));
  return getOrCreateConstant(name, DenseElementsAttr::get(type, numbers));
}

std::string KernelLibrary::getOrCreateConstant(StringRef name, DenseElementsAttr numbers) {
  for (const auto &[known, symbol] : constants)
    if (known == numbers)
      return symbol;
  std::string symbol = name.str() + "_" + std::to_string(constants.size());
  OpBuilder builder(context());
  builder.setInsertionPointToStart(module.getBody());
  auto tensor = cast<RankedTensorType>(numbers.getType());
  memref::GlobalOp::create(builder, module.getLoc(), symbol, builder.getStringAttr("private"),
                           MemRefType::get(tensor.getShape(), tensor.getElementType()), numbers,
                           /*constant=*/true, /*alignment=*/IntegerAttr());
  constants.emplace_back(numbers, symbol);
  return symbol;
}

MemRefType KernelLibrary::bytesType() const { return vectorType(IntegerType::get(context(), 8)); }
MemRefType KernelLibrary::vectorType(Type element) const {
  return MemRefType::get({ShapedType::kDynamic}, element);
}
MemRefType KernelLibrary::rowsType(Type element, int64_t cols, int64_t rowStride) {
  return MemRefType::get(
      {ShapedType::kDynamic, cols}, element,
      StridedLayoutAttr::get(element.getContext(), ShapedType::kDynamic, {rowStride, 1}));
}
int64_t KernelLibrary::rowStride(MemRefType type) {
  return type.getStridesAndOffset().first.front();
}

} // namespace mlir::llm
