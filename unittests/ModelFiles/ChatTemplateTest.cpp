// The Jinja subset, construct by construct; the expected texts were rendered by Python's jinja2
// with trim_blocks, lstrip_blocks, loop controls and a tojson that keeps order.

#include "llmir/ModelFiles/ChatTemplate.h"

#include <gtest/gtest.h>

namespace llmir {
namespace {

std::string render(std::string_view source) {
  StatusOr<ChatTemplate> parsed = ChatTemplate::parse(source);
  if (!parsed)
    return parsed.status().message();
  StatusOr<std::string> text = parsed->renderJSON(nlohmann::ordered_json::array());
  return text ? *text : text.status().message();
}

TEST(ChatTemplateTest, Arithmetic) {
  EXPECT_EQ(render("{{ 1 + 2 * 3 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** "
                   "-1 }} {{ -3.5 // 2 }}"),
            "7 -4 2 3.5 1024 0.5 -2.0");
  EXPECT_EQ(render("{{ 1e20 }} {{ 1.0 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 123456789012345678.0 }}"),
            "1e+20 1.0 0.30000000000000004 1e-05 1.2345678901234568e+17");
  EXPECT_EQ(render("{{ 'a' * 3 }}{{ [1] * 2 }} {{ 'a' ~ 1 ~ none ~ true ~ 1.5 }}"),
            "aaa[1, 1] a1NoneTrue1.5");
}

TEST(ChatTemplateTest, Comparisons) {
  EXPECT_EQ(render("{{ 1 < 2 < 3 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }} {{ [1] == [1.0] "
                   "}} {{ (1,) == [1] }}"),
            "True True True False True False");
  EXPECT_EQ(render("{{ 'b' in 'abc' }} {{ 'a' in {'a': 1} }} {{ 'z' not in 'abc' }} {{ not 'z' in "
                   "'abc' }} {{ 'a' in missing }}"),
            "True True True True False");
  EXPECT_EQ(render("{{ 'x' if 1 > 2 }}|{{ 0 or 'y' }}|{{ '' and 'z' }}|{{ not missing }}"),
            "|y||True");
}

TEST(ChatTemplateTest, Literals) {
  EXPECT_EQ(render("{{ [1, 'it\\'s', none, true, {'a': 1.5, 'b': []}, (1,), (1, 2)] }}"),
            "[1, \"it's\", None, True, {'a': 1.5, 'b': []}, (1,), (1, 2)]");
  EXPECT_EQ(
      render("{{ 'a' \"b\" }}{{ 'x\\x41\\u00e9' }}{{ 1_000 }}{{ '}}' }}{{ {'a': {'b': {}}} }}"),
      "abxAé1000}}{'a': {'b': {}}}");
}

TEST(ChatTemplateTest, Slices) {
  EXPECT_EQ(render("{{ [1, 2, 3][-1] }}{{ [1, 2, 3][1:] }}{{ [1, 2, 3][::-1] }}{{ 'héllo'[1] }}{{ "
                   "'héllo'[::-1] }}{{ 'abc'[5:] }}|{{ 'abc'[-2:] }}{{ [1][5] is defined }}"),
            "3[2, 3][3, 2, 1]éolléh|bcFalse");
}

TEST(ChatTemplateTest, Filters) {
  EXPECT_EQ(render("{{ ' x '|trim }}|{{ [1, 2]|join(',') }}|{{ 'abc'|first }}{{ [1, 2]|last }}|{{ "
                   "'hello wORLD'|title }}|{{ 'ÀÉ'|lower }}|{{ 'aXbX'|replace('X', '-', 1) }}"),
            "x|1,2|a2|Hello World|àé|a-bX");
  EXPECT_EQ(render("{{ missing|default('d') }}{{ ''|default('e', true) }}|{{ '3.7'|int }}{{ "
                   "'x'|int(7) }}|{{ ['b', 'A', 'c']|sort }}|{{ {'b': 1, 'A': 2}|dictsort }}"),
            "de|37|['A', 'b', 'c']|[('A', 2), ('b', 1)]");
  EXPECT_EQ(render("{{ [{'a': 1}, {'b': 2}]|selectattr('a', 'defined')|list }}{{ [1, 2, "
                   "3]|reject('odd')|list }}{{ ['a']|map('upper')|list }}{{ [{'a': "
                   "1}]|map(attribute='a')|sum }}"),
            "[{'a': 1}][2]['A']1");
}

TEST(ChatTemplateTest, JSON) {
  EXPECT_EQ(render("{{ {'x': 'é\\n\\t\\\\', 'y': [1.5, none, true, {}]}|tojson }}"),
            "{\"x\": \"é\\n\\t\\\\\", \"y\": [1.5, null, true, {}]}");
  EXPECT_EQ(render("{{ {'x': [1, {}], 'y': [], 'z': '<>&'}|tojson(indent=2) }}"),
            "{\n  \"x\": [\n    1,\n    {}\n  ],\n  \"y\": [],\n  \"z\": \"<>&\"\n}");
}

TEST(ChatTemplateTest, Methods) {
  EXPECT_EQ(render("{{ 'a,b,c'.split(',', 1) }}{{ ' a  b '.split() }}{{ 'xxaxx'.strip('x') }}{{ "
                   "'abc'.endswith(('x', 'c')) }}{{ 'abc'.replace('', '-', 2) }}"),
            "['a', 'b,c']['a', 'b']aTrue-a-bc");
  EXPECT_EQ(render("{{ {'b': 1}.items()|list }}{{ {'b': 1}.get('x', 'y') }}{{ 'x</think> y "
                   "'.split('</think>')[-1].strip() }}"),
            "[('b', 1)]yy");
}

TEST(ChatTemplateTest, Loops) {
  EXPECT_EQ(render("{% for i in range(3) %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ "
                   "loop.revindex0 }}{{ loop.previtem }}{{ loop.cycle('a', 'b') }};{% endfor %}"),
            "1TrueFalse2a;2FalseFalse10b;3FalseTrue01a;");
  EXPECT_EQ(render("{% for i in range(10) if i is odd %}{{ i }}{{ ',' if not loop.last }}{% endfor "
                   "%}{% for i in [] %}x{% else %}empty{% endfor %}"),
            "1,3,5,7,9empty");
  EXPECT_EQ(render("{% for i in range(10) %}{% if i == 3 %}{% continue %}{% endif %}{% if i == 6 "
                   "%}{% break %}{% endif %}{{ i }}{% endfor %}"),
            "01245");
  EXPECT_EQ(render("{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}"),
            "a=1;b=2;");
}

TEST(ChatTemplateTest, Variables) {
  EXPECT_EQ(
      render(
          "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}"),
      "12121");
  EXPECT_EQ(render("{% set ns = namespace(x=1) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% "
                   "endfor %}{{ ns.x }}"),
            "4");
  EXPECT_EQ(
      render("{% set x %}block {{ 1 }}{% endset %}[{{ x }}]{% set a, b = 1, 2 %}{{ a }}{{ b }}"),
      "[block 1]12");
}

TEST(ChatTemplateTest, Macros) {
  EXPECT_EQ(render("{% macro m(a, b=2) %}<{{ a }}{{ b }}{{ c }}>{% endmacro %}{{ m(1) }}{% set c = "
                   "9 %}{{ m(4, b=5) }}{{ m() }}"),
            "<12><459><29>");
  EXPECT_EQ(
      render(
          "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}"),
      "54321");
}

TEST(ChatTemplateTest, WhiteSpace) {
  EXPECT_EQ(render("  {% for i in [1, 2] %}\n    item {{ i }}\n  {% endfor %}\nend\n\n"),
            "    item 1\n    item 2\nend\n");
  EXPECT_EQ(render("a\n  {%- if true %}\n  b\n  {%- endif %}\n c\r\nd\n"), "a  b c\nd");
  EXPECT_EQ(render("{% set x = 1 -%}\n\n  {{ x }}\n{# c #}\n  {# d #}\n e  {# f #}\n"), "1\n e  ");
  EXPECT_EQ(render("  {%+ if true %}  a\n{% endif +%}\nb  {{- 'c' -}}  d"), "    a\n\nbcd");
  EXPECT_EQ(render("{% raw -%}\n  {{ a }} {% endraw %}\n  b"), "{{ a }}   b");
}

} // namespace
} // namespace llmir
