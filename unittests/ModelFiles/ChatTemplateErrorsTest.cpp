// Chat templates that are wrong or made to harm: each ends in a message with the line, in bounded
// time and memory.

#include "llmir/ModelFiles/ChatTemplate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

namespace llmir {
namespace {

using testing::HasSubstr;

Status statusOf(std::string_view source) {
  StatusOr<ChatTemplate> parsed = ChatTemplate::parse(source);
  if (!parsed)
    return parsed.status();
  return parsed->renderJSON(nlohmann::ordered_json::array()).status();
}

TEST(ChatTemplateErrorsTest, SyntaxNamesLineAndConstruct) {
  EXPECT_EQ(statusOf("a\n{% include 'x' %}").message(),
            "chat template: line 2: expected a statement if, for, set, macro, break, continue or "
            "generation, but got 'include'");
  EXPECT_EQ(statusOf("{% include 'x' %}").code(), StatusCode::Unimplemented);
  EXPECT_EQ(statusOf("{% if 1 %}\n\nx").message(),
            "chat template: line 3: expected 'endif', but got the end of the template");
  EXPECT_EQ(statusOf("{{ 1 + }}").message(),
            "chat template: line 1: expected an expression, but got '}}'");
  EXPECT_EQ(statusOf("\n{{ 'abc }}").message(),
            "chat template: line 2: expected ' at the end of a string");
  EXPECT_EQ(statusOf("{{ (1 }}").message(), "chat template: line 1: expected '}}', but got '}'");
  EXPECT_EQ(statusOf("{# x").message(), "chat template: line 1: expected '#}' after '{#'");
  EXPECT_THAT(statusOf("{% raw %}").message(), HasSubstr("expected 'endraw' after 'raw'"));
  EXPECT_THAT(statusOf("{% break %}").message(), HasSubstr("expected 'break' within a 'for'"));
  EXPECT_THAT(statusOf("{% endfor %}").message(), HasSubstr("but got 'endfor'"));
  EXPECT_THAT(statusOf("{{ 99999999999999999999 }}").message(), HasSubstr("below 2^63"));
}

TEST(ChatTemplateErrorsTest, UnknownNames) {
  EXPECT_EQ(statusOf("{{ 1|frobnicate }}").message(),
            "chat template: line 1: expected a known filter, but got 'frobnicate'");
  EXPECT_EQ(statusOf("{{ 1|frobnicate }}").code(), StatusCode::Unimplemented);
  EXPECT_THAT(statusOf("{{ 1 is odder }}").message(), HasSubstr("a known test, but got 'odder'"));
  EXPECT_THAT(statusOf("{{ 'a'.zap() }}").message(),
              HasSubstr("method of a string, but got 'zap'"));
  EXPECT_THAT(statusOf("{{ zap() }}").message(), HasSubstr("function, but 'zap' is undefined"));
  EXPECT_THAT(statusOf("{{ zap.x }}").message(), HasSubstr("'zap' is undefined"));
}

TEST(ChatTemplateErrorsTest, TypesAndNumbers) {
  EXPECT_THAT(statusOf("{{ 'x' + 1 }}").message(), HasSubstr("a string and an integer"));
  EXPECT_THAT(statusOf("{{ none + 'x' }}").message(), HasSubstr("none and a string"));
  EXPECT_THAT(statusOf("{{ 1 < 'a' }}").message(), HasSubstr("two numbers or two strings"));
  EXPECT_THAT(statusOf("{{ 1 / 0 }}").message(), HasSubstr("a divisor other than 0"));
  EXPECT_THAT(statusOf("{{ 9223372036854775807 + 1 }}").message(), HasSubstr("below 2^63"));
  EXPECT_THAT(statusOf("{{ 10 ** 100 }}").message(), HasSubstr("below 2^63"));
  EXPECT_TRUE(statusOf("{{ (-9223372036854775807 - 1) // -1 }}").message().ends_with("2^63"));
  EXPECT_TRUE(statusOf("{{ (-9223372036854775807 - 1) % -1 }}").isOk());
  EXPECT_THAT(statusOf("{% for a in none %}{% endfor %}").message(), HasSubstr("but got none"));
  EXPECT_THAT(statusOf("{% set a, b = 1 %}").message(), HasSubstr("expected 2 values to assign"));
  EXPECT_THAT(statusOf("{{ raise_exception('roles must alternate') }}").message(),
              HasSubstr("refuses the conversation: roles must alternate"));
  EXPECT_FALSE(ChatTemplate::parse("x")->renderJSON(nlohmann::ordered_json(1)).isOk());
}

TEST(ChatTemplateErrorsTest, NestingIsBounded) {
  auto repeat = [](std::string_view text, int count) {
    std::string repeated;
    for (int i = 0; i < count; ++i)
      repeated += text;
    return repeated;
  };
  constexpr int many = 100000;
  EXPECT_FALSE(statusOf("{{ " + repeat("(", many) + "1" + repeat(")", many) + " }}").isOk());
  EXPECT_FALSE(statusOf("{{ " + repeat("[", many) + repeat("]", many) + " }}").isOk());
  EXPECT_FALSE(statusOf("{{ " + repeat("-", many) + "1 }}").isOk());
  EXPECT_FALSE(statusOf("{{ " + repeat("not ", many) + "1 }}").isOk());
  EXPECT_FALSE(statusOf("{{ 1" + repeat(" + 1", many) + " }}").isOk());
  EXPECT_FALSE(statusOf("{{ a" + repeat(".a", many) + " }}").isOk());
  EXPECT_FALSE(statusOf("{{ a" + repeat("|trim", many) + " }}").isOk());
  EXPECT_FALSE(statusOf("{{ 1" + repeat(" if 1 else 1", many) + " }}").isOk());
  EXPECT_FALSE(statusOf(repeat("{% if 1 %}", many) + repeat("{% endif %}", many)).isOk());
  EXPECT_TRUE(statusOf("{% if 0 %}" + repeat("{% elif 0 %}", 1000) + "{% endif %}").isOk());
  EXPECT_THAT(statusOf("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").message(),
              HasSubstr("in progress"));
}

TEST(ChatTemplateErrorsTest, OutputAndWorkAreBounded) {
  EXPECT_THAT(statusOf("{{ 'x' * 1000000000 }}").message(), HasSubstr("at most 16777216"));
  EXPECT_THAT(statusOf("{{ [0] * 1000000000 }}").message(), HasSubstr("at most 16777216"));
  EXPECT_THAT(statusOf("{{ range(1000000000) }}").message(), HasSubstr("at most 100000"));
  EXPECT_FALSE(statusOf("{{ ('x' * 100000).replace('x', 'y' * 100000) }}").isOk());
  EXPECT_FALSE(statusOf("{{ ['x' * 100000] * 10000|join }}").isOk());
  EXPECT_FALSE(statusOf("{% for i in range(20000) %}{{ 'x' * 10000 }}{% endfor %}").isOk());
  // Each round doubles the list; printing or comparing it whole would never end.
  EXPECT_TRUE(statusOf("{% set n = namespace(l=[0]) %}{% for i in range(99) %}"
                       "{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l == 1 }}")
                  .isOk());
  EXPECT_FALSE(statusOf("{% set n = namespace(s='x') %}{% for i in range(99) %}"
                        "{% set n.s = n.s + n.s %}{% endfor %}")
                   .isOk());
  EXPECT_FALSE(statusOf("{% set n = namespace() %}{% set n.n = n %}").isOk());
}

TEST(ChatTemplateErrorsTest, DamagedTemplatesNeverCrash) {
  const std::string source =
      "{%- macro m(a, b={'k': [1, 2.5]}) -%}{{ a|default('x')|upper }}{{ b.k[1:]|join(', ') }}"
      "{%- endmacro %}{% set ns = namespace(i=0) %}{% for k, v in {'a': 1, 'b': none}.items() if k "
      "%}{{ loop.index }}{{ m(k, b={'k': [v, v]}) if v is not none else 'none' ~ ns.i }}{% set "
      "ns.i = ns.i + 1 "
      "%}{% else %}empty{% endfor %}{# note #}{% if ns.i >= 2 and not 'x' in 'abc' %}{{ [1, 'é']|"
      "tojson(indent=2) }}{% elif 1 %}{% raw %}{{ x }}{% endraw %}{% endif %}";
  ASSERT_TRUE(statusOf(source).isOk()) << statusOf(source).message();
  std::mt19937 random(7);
  const std::string_view alphabet = "{}%#-+'\"()[].,:|~ \nifendforset0159az_=<>!*/\\";
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = source;
    for (unsigned edits = 1 + random() % 4; edits > 0; --edits) {
      size_t at = random() % damaged.size();
      if (random() % 2)
        damaged[at] = alphabet[random() % alphabet.size()];
      else
        damaged.erase(at, 1 + random() % 8);
    }
    Status status = statusOf(damaged);
    if (!status.isOk())
      ASSERT_THAT(status.message(), HasSubstr("chat template: line "));
  }
}

} // namespace
} // namespace llmir
