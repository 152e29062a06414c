// exp and tanh of compiled kernels against the C library's in double precision, over every f32 of
// the binades in which they do something, and over the ends.

#include "CompiledFunctions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <thread>

using namespace llmir::testing;

extern "C" void _mlir_ciface_kernel_exp(MemRef<1> *);
extern "C" void _mlir_ciface_kernel_tanh(MemRef<1> *);

namespace {

using Kernel = void (*)(MemRef<1> *);

std::vector<float> apply(Kernel kernel, std::vector<float> numbers) {
  size_t count = numbers.size();
  numbers.resize((count + 7) / 8 * 8);
  MemRef<1> array = describe<1>(numbers.data(), {static_cast<int64_t>(numbers.size())});
  kernel(&array);
  numbers.resize(count);
  return numbers;
}

/// Distance in units of the last place of the expected f32.
double unitsApart(float actual, double expected) {
  int exponent;
  std::frexp(expected, &exponent);
  return std::abs(double(actual) - expected) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

/// Whether that may be more than `units`: a bound that takes no logarithm.
bool mayExceed(float actual, double expected, double units) {
  return std::abs(double(actual) - expected) > units * std::abs(expected) * 0x1p-24;
}

/// The largest distance over all f32 numbers, of both signs, whose bits without the sign are in
/// [begin, end).
double sweep(Kernel kernel, double (*expected)(double), uint32_t begin, uint32_t end) {
  constexpr uint32_t chunk = 1 << 14;
  auto part = [&](uint32_t from, uint32_t to) {
    double worst = 0;
    for (uint32_t first = from; first < to; first += chunk) {
      std::vector<float> numbers;
      for (uint32_t bits = first; bits < std::min(first + chunk, to); ++bits) {
        float number;
        std::memcpy(&number, &bits, sizeof(number));
        numbers.push_back(number);
        numbers.push_back(-number);
      }
      std::vector<float> actual = apply(kernel, numbers);
      for (size_t i = 0; i < numbers.size(); ++i)
        if (double exact = expected(double(numbers[i])); mayExceed(actual[i], exact, worst))
          worst = std::max(worst, unitsApart(actual[i], exact));
    }
    return worst;
  };
  uint32_t middle = begin + (end - begin) / 2;
  double lower = 0, upper = 0;
  std::thread other([&] { lower = part(begin, middle); });
  upper = part(middle, end);
  other.join();
  return std::max(lower, upper);
}

uint32_t bitsOf(float number) {
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof(bits));
  return bits;
}

double expOf(double x) { return std::exp(x); }
double tanhOf(double x) { return std::tanh(x); }

} // namespace

TEST(KernelMathTest, ExpIsWithinTwoUnitsOnEveryNumberFrom2ToTheMinus12To87) {
  double worst = sweep(_mlir_ciface_kernel_exp, expOf, bitsOf(0x1p-12f), bitsOf(87.0f));
  RecordProperty("largest_distance", std::to_string(worst));
  EXPECT_LE(worst, 2.0);
}

TEST(KernelMathTest, TanhIsWithinFourUnitsOnEveryNumberFrom2ToTheMinus12To10) {
  double worst = sweep(_mlir_ciface_kernel_tanh, tanhOf, bitsOf(0x1p-12f), bitsOf(10.0f));
  RecordProperty("largest_distance", std::to_string(worst));
  EXPECT_LE(worst, 4.0);
}

TEST(KernelMathTest, SmallNumbersAreWithinTheSameBounds) {
  std::vector<float> numbers;
  for (uint32_t bits = 0; bits < bitsOf(0x1p-12f); bits += 4099) {
    float number;
    std::memcpy(&number, &bits, sizeof(number));
    numbers.insert(numbers.end(), {number, -number});
  }
  std::vector<float> exps = apply(_mlir_ciface_kernel_exp, numbers);
  std::vector<float> tanhs = apply(_mlir_ciface_kernel_tanh, numbers);
  for (size_t i = 0; i < numbers.size(); ++i) {
    ASSERT_LE(unitsApart(exps[i], std::exp(double(numbers[i]))), 2.0) << numbers[i];
    ASSERT_LE(unitsApart(tanhs[i], std::tanh(double(numbers[i]))), 4.0) << numbers[i];
  }
}

TEST(KernelMathTest, EndsAreClampedAndNaNsStay) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> exps = apply(_mlir_ciface_kernel_exp,
                                  {0.0f, -0.0f, 88.0f, 1e9f, infinity, -87.0f, -1e30f, -infinity});
  EXPECT_EQ(exps[0], 1.0f);
  EXPECT_EQ(exps[1], 1.0f);
  EXPECT_EQ(exps[3], exps[2]);
  EXPECT_EQ(exps[4], exps[2]);
  EXPECT_EQ(exps[6], exps[5]);
  EXPECT_EQ(exps[7], exps[5]);
  EXPECT_GT(exps[5], 0.0f);
  std::vector<float> tanhs =
      apply(_mlir_ciface_kernel_tanh, {0.0f, 20.0f, -20.0f, infinity, -infinity});
  EXPECT_EQ(tanhs, (std::vector<float>{0.0f, 1.0f, -1.0f, 1.0f, -1.0f}));
  // NaNs of every kind: quiet, signalling, of either sign, with bits at both ends.
  std::vector<float> nans;
  for (uint32_t bits :
       {0x7fc00000u, 0x7f800001u, 0x7fffffffu, 0xffc00001u, 0xff800100u, 0xffffffffu})
    for (int i = 0; i < 8; ++i) {
      float number;
      std::memcpy(&number, &bits, sizeof(number));
      nans.push_back(number);
    }
  for (Kernel kernel : {_mlir_ciface_kernel_exp, _mlir_ciface_kernel_tanh})
    for (float result : apply(kernel, nans))
      EXPECT_TRUE(std::isnan(result));
}
