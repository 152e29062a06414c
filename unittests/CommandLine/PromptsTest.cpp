// Prompts: ids and lines of text as users write them.

#include "llmir/CommandLine/Prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace llmir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(PromptsTest, ParsesTokenIds) {
  EXPECT_THAT(*parseTokenIds("1,22,333"), ElementsAre(1, 22, 333));
  EXPECT_THAT(*parseTokenIds(" 1 ,\t2\r\n"), ElementsAre(1, 2));
  EXPECT_THAT(*parseTokenIds(""), IsEmpty());
  EXPECT_THAT(*parseTokenIds("-5"), ElementsAre(-5));
  for (const char *bad : {"1,a", "1.5", "99999999999", "0x10", "1;2"})
    EXPECT_THAT(parseTokenIds(bad).status().message(), HasSubstr("expected token ids")) << bad;
}

TEST(PromptsTest, SplitsLines) {
  EXPECT_THAT(splitLines(""), IsEmpty());
  EXPECT_THAT(splitLines("a\nb"), ElementsAre("a", "b"));
  EXPECT_THAT(splitLines("a\r\n\nb\n"), ElementsAre("a", "", "b"));
}
