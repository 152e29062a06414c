// Rotary frequencies of each kind of scaling, against numbers computed elsewhere in double
// precision from the published formulas.

#include "llmir/Dialect/LLM/IR/LLMAttributes.h"
#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/MLIRContext.h"
#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>
#include <utility>

using namespace mlir;
using namespace mlir::llm;

namespace {

class RopeScalingTest : public testing::Test {
protected:
  RopeScalingTest() { context.loadDialect<LLMDialect>(); }

  RopeScalingAttr make(RopeScalingKind kind, double factor, int64_t original, double slow,
                       double fast) {
    auto number = [&](double value) { return FloatAttr::get(Float64Type::get(&context), value); };
    return RopeScalingAttr::get(&context, kind, number(factor), original, number(slow),
                                number(fast), FloatAttr());
  }

  static void expectFrequencies(RopeScalingAttr scaling, double theta, int64_t rotaryDim,
                                std::initializer_list<std::pair<int64_t, double>> expected) {
    for (auto [pair, frequency] : expected)
      EXPECT_NEAR(scaling.getFrequency(theta, rotaryDim, pair) / frequency, 1, 1e-10) << pair;
  }

  MLIRContext context;
};

} // namespace

TEST_F(RopeScalingTest, Linear) {
  auto scaling = RopeScalingAttr::get(&context, RopeScalingKind::Linear, 4.0);
  expectFrequencies(scaling, 1e4, 64,
                    {{0, 2.5e-01}, {5, 5.928434264154e-02}, {31, 3.333803580408e-05}});
  EXPECT_EQ(scaling.getMagnitude(), 1);
}

TEST_F(RopeScalingTest, NTK) {
  auto scaling = RopeScalingAttr::get(&context, RopeScalingKind::NTK, 8.0);
  expectFrequencies(scaling, 1e4, 64, {{0, 1}, {5, 1.695666048859e-01}, {31, 1.666901790204e-05}});
  EXPECT_EQ(scaling.getMagnitude(), 1);
}

TEST_F(RopeScalingTest, Llama3) {
  auto scaling = RopeScalingAttr::get(&context, RopeScalingKind::Llama3, 8.0, 8192);
  EXPECT_EQ(scaling.getSlow(), 1);
  EXPECT_EQ(scaling.getFast(), 4);
  expectFrequencies(scaling, 5e5, 128,
                    {{0, 1},
                     {1, 8.146172338565e-01},
                     {17, 3.063452089322e-02},
                     {24, 7.292664737217e-03},
                     {25, 5.940730375675e-03},
                     {28, 3.211445994753e-03},
                     {31, 8.567514129196e-04},
                     {40, 3.428102195953e-05},
                     {63, 3.068925988915e-07}});
  EXPECT_EQ(scaling.getMagnitude(), 1);
}

TEST_F(RopeScalingTest, YaRN) {
  auto scaling = RopeScalingAttr::get(&context, RopeScalingKind::YaRN, 4.0, 32768);
  expectFrequencies(scaling, 1e6, 128,
                    {{0, 1},
                     {1, 8.058421877615e-01},
                     {17, 2.548296747979e-02},
                     {24, 5.375321490790e-03},
                     {25, 4.131738022518e-03},
                     {28, 1.848276564707e-03},
                     {31, 8.029597275452e-04},
                     {40, 4.445698525097e-05},
                     {63, 3.102344401879e-07}});
  EXPECT_NEAR(scaling.getMagnitude(), 1.138629436111989, 1e-12);
  expectFrequencies(make(RopeScalingKind::YaRN, 16, 4096, 2, 16), 1e4, 64,
                    {{0, 1},
                     {5, 2.371373705662e-01},
                     {10, 5.623413251903e-02},
                     {15, 9.167959846123e-03},
                     {20, 5.270462766947e-04},
                     {31, 8.334508951021e-06}});
}

TEST_F(RopeScalingTest, LongRoPE) {
  auto scaling = RopeScalingAttr::get(&context, RopeScalingKind::LongRoPE, 32.0, 4096);
  EXPECT_DOUBLE_EQ(scaling.getFrequency(1e4, 64, 5), std::pow(1e4, -10.0 / 64));
  EXPECT_NEAR(scaling.getMagnitude(), 1.1902380714238083, 1e-12);
}
