// Made-up weights: the same tensors whether fused, divided or not, and rounding to codes.

#include "InterpreterFixture.h"

#include <cmath>

using namespace llmir;
using namespace llmir::testing;
using mlir::llm::QuantizedTensorType;
using mlir::llm::TensorValue;
using mlir::llm::WeightOp;

namespace {
class WeightValuesTest : public InterpreterFixture {
protected:
  TensorValue load(llvm::StringRef name) {
    return weights.load(module->lookupSymbol<WeightOp>(name));
  }
};
} // namespace

TEST_F(WeightValuesTest, FusedAndDividedWeightsHoldTheirSources) {
  parse(R"(
    llm.weight @q : tensor<6x8xf32>
    llm.weight @k : tensor<4x8xf32>
    llm.weight @qk sources(["q", "k"]) source_rows([6, 4]) : tensor<10x8xf32>
    llm.weight @half sources(["q"]) shard<1, 2, 1> : tensor<6x4xf32>
    llm.weight @rows sources(["q"]) shard<0, 3, 2> : tensor<2x8xf32>)");
  TensorValue q = load("q"), k = load("k"), both = load("qk");
  for (int64_t i = 0; i < both.size(); ++i)
    EXPECT_EQ(both.real(i), i < q.size() ? q.real(i) : k.real(i - q.size()));
  TensorValue half = load("half"), rows = load("rows");
  for (int64_t row = 0; row < 6; ++row)
    for (int64_t column = 0; column < 4; ++column)
      EXPECT_EQ(half.real(row * 4 + column), q.real(row * 8 + 4 + column));
  for (int64_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(rows.real(i), q.real(4 * 8 + i));
}

TEST_F(WeightValuesTest, RoundingIsWithinHalfAStep) {
  parse(R"(
    llm.weight @w : tensor<5x64xf32>
    llm.weight @q8 sources(["w"]) : !llm.quantized_tensor<i8, [5, 64], true, true, 1, 32, 8,
                                                          scale = f16>
    llm.weight @q4 sources(["w"]) : !llm.quantized_tensor<i4, [5, 64], true, true, 1, 32, 4,
                                                          scale = f16>
    llm.weight @m4 sources(["w"]) : !llm.quantized_tensor<i4, [5, 64], false, true, 1, 32, 4,
                                                          scale = f16, zero_point = f16>
    llm.weight @z8 sources(["w"]) : !llm.quantized_tensor<i8, [5, 64], false, true, 1, 64, 8>
    llm.weight @t8 sources(["w"]) : !llm.quantized_tensor<i8, [5, 64], true, false, -1, -1, 8>)");
  TensorValue w = load("w");
  double largest = 0;
  for (int64_t i = 0; i < w.size(); ++i)
    largest = std::max(largest, std::fabs(w.real(i)));
  auto check = [&](llvm::StringRef name, double step) {
    TensorValue rounded = load(name);
    double error = 0;
    for (int64_t i = 0; i < w.size(); ++i)
      error = std::max(error, std::fabs(rounded.real(i) - w.real(i)));
    // Scales and minima are rounded to f16 themselves.
    EXPECT_LE(error, step * largest * 0.51) << name.str();
    EXPECT_GT(error, 0) << name.str();
  };
  check("q8", 1.0 / 127);
  check("q4", 1.0 / 7);
  check("m4", 2.0 / 15);
  check("z8", 2.0 / 255 * 2);
  check("t8", 1.0 / 127);
}
