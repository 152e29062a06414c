// UTF-8 steps: every code point, and the ill-formed sequences of the Unicode standard's examples.

#include "llmir/Base/UTF8.h"

#include <gtest/gtest.h>

namespace llmir {
namespace {

TEST(UTF8Test, EveryCodePointComesBack) {
  for (char32_t codePoint = 0; codePoint <= 0x10ffff; ++codePoint) {
    std::string text;
    appendUTF8(text, codePoint);
    UTF8Step step = nextUTF8(text, 0);
    if (codePoint >= 0xd800 && codePoint < 0xe000) {
      ASSERT_EQ(step.kind, UTF8Kind::Invalid);
      continue;
    }
    ASSERT_EQ(step.kind, UTF8Kind::Character) << std::hex << static_cast<uint32_t>(codePoint);
    ASSERT_EQ(step.length, text.size());
    ASSERT_EQ(step.codePoint, codePoint);
    for (size_t length = 1; length < text.size(); ++length) {
      UTF8Step part = nextUTF8(std::string_view(text).substr(0, length), 0);
      ASSERT_EQ(part.kind, UTF8Kind::Partial);
      ASSERT_EQ(part.length, length);
    }
  }
}

/// The kinds and lengths of all steps, such as "I1 I2 C1".
std::string stepsOf(std::string_view text) {
  std::string steps;
  for (size_t position = 0; position < text.size();) {
    UTF8Step step = nextUTF8(text, position);
    steps += "CPI"[static_cast<int>(step.kind)] + std::to_string(step.length) + " ";
    position += step.length;
  }
  return steps;
}

TEST(UTF8Test, IllFormedStretches) {
  EXPECT_EQ(stepsOf("\x80z"), "I1 C1 ");
  EXPECT_EQ(stepsOf("\xc0\xaf"), "I1 I1 ");
  EXPECT_EQ(stepsOf("\xe0\x9f\x80"), "I1 I1 I1 ");
  EXPECT_EQ(stepsOf("\xed\xa0\x80"), "I1 I1 I1 ");
  EXPECT_EQ(stepsOf("\xf4\x90\x80\x80"), "I1 I1 I1 I1 ");
  EXPECT_EQ(stepsOf("\xe1\x80"
                    "a"),
            "I2 C1 ");
  EXPECT_EQ(stepsOf("\xf0\x9f\x98"), "P3 ");
  EXPECT_EQ(stepsOf("\xff"), "I1 ");
}

} // namespace
} // namespace llmir
