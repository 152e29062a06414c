// Parses a module and runs one of its functions on given or made-up values.

#ifndef LLMIR_UNITTESTS_VALIDATION_INTERPRETERFIXTURE_H
#define LLMIR_UNITTESTS_VALIDATION_INTERPRETERFIXTURE_H

#include "llmir/Reference/Matrix.h"
#include "llmir/Tools/Registration.h"
#include "llmir/Validation/FunctionInputs.h"
#include "llmir/Validation/Interpreter.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

namespace llmir::testing {

class InterpreterFixture : public ::testing::Test {
protected:
  InterpreterFixture() : context(makeRegistry(), mlir::MLIRContext::Threading::DISABLED) {}

  void parse(const std::string &text) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    interpreter.emplace(*module, weights);
  }
  mlir::func::FuncOp function(llvm::StringRef name = "f") {
    return module->lookupSymbol<mlir::func::FuncOp>(name);
  }
  /// The results of @f, which has to succeed.
  llvm::SmallVector<mlir::llm::RuntimeValue>
  run(llvm::ArrayRef<mlir::llm::RuntimeValue> arguments) {
    auto results = interpreter->run(function(), arguments);
    EXPECT_TRUE(mlir::succeeded(results)) << interpreter->error().message;
    return mlir::succeeded(results) ? *results : llvm::SmallVector<mlir::llm::RuntimeValue>();
  }
  /// Inputs of @f that fit.
  mlir::llm::FunctionInputs inputs(uint64_t seed) {
    std::string why;
    auto made = mlir::llm::makeFunctionInputs(function(), seed, why);
    EXPECT_TRUE(mlir::succeeded(made)) << why;
    return mlir::succeeded(made) ? *made : mlir::llm::FunctionInputs();
  }

  static const mlir::llm::TensorValue &tensorOf(const mlir::llm::RuntimeValue &value) {
    return *std::get<std::shared_ptr<const mlir::llm::TensorValue>>(value);
  }
  /// A tensor as a matrix of `columns` columns.
  static reference::Matrix matrixOf(const mlir::llm::TensorValue &tensor, int64_t columns) {
    std::vector<double> numbers;
    for (int64_t i = 0; i < tensor.size(); ++i)
      numbers.push_back(tensor.real(i));
    return reference::Matrix(tensor.size() / columns, columns, numbers);
  }
  static mlir::llm::RuntimeValue integer(int64_t value) { return mlir::llm::Scalar{0, value}; }
  static mlir::llm::RuntimeValue real(double value) { return mlir::llm::Scalar{value, 0}; }

  mlir::llm::WeightValues weights{5};
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<mlir::llm::Interpreter> interpreter;

private:
  static mlir::DialectRegistry makeRegistry() {
    mlir::DialectRegistry registry;
    mlir::llm::registerDialects(registry);
    return registry;
  }
};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_VALIDATION_INTERPRETERFIXTURE_H
