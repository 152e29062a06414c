// Prints a module of functions that apply KernelBuilder's exp and tanh to an array, so that
// KernelMathTest can call them as they are compiled.

#include "KernelBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using mlir::llm::KernelBuilder;

/// A function that replaces the elements of a memref<?xf32>, of a multiple of 8.
static void emitFunction(ModuleOp module, StringRef name, Value (KernelBuilder::*function)(Value)) {
  MLIRContext *context = module.getContext();
  OpBuilder builder(context);
  builder.setInsertionPointToEnd(module.getBody());
  auto floats = MemRefType::get({ShapedType::kDynamic}, builder.getF32Type());
  auto type = FunctionType::get(context, {floats}, {});
  auto op = func::FuncOp::create(builder, module.getLoc(), name, type);
  op->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), builder.getUnitAttr());
  KernelBuilder b(module.getLoc(), context);
  b.setInsertionPointToStart(op.addEntryBlock());
  Value array = op.getArgument(0);
  Value size = memref::DimOp::create(b, array, 0);
  b.loop(b.index(0), size, 8,
         [&](Value at) { b.storeVector((b.*function)(b.loadVector(array, at, 8)), array, at); });
  func::ReturnOp::create(b);
}

int main() {
  MLIRContext context;
  context.loadDialect<arith::ArithDialect, func::FuncDialect, LLVM::LLVMDialect, math::MathDialect,
                      memref::MemRefDialect, scf::SCFDialect, vector::VectorDialect>();
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  emitFunction(*module, "kernel_exp", &KernelBuilder::exp);
  emitFunction(*module, "kernel_tanh", &KernelBuilder::tanh);
  module->print(llvm::outs());
  return 0;
}
