// The tests of chat templates (`value is name`).

#include "Call.h"
#include "Operators.h"
#include "Text.h"

#include <cmath>
#include <unordered_map>

namespace llmir::chat {

static bool isCallable(const Value &value) { return value.as<Callable>() != nullptr; }
static bool isSequence(const Value &value) {
  return value.asString() || value.asList() || value.asDict();
}

using TypeTest = bool (*)(const Value &);

static const std::unordered_map<std::string_view, TypeTest> &typeTests() {
  static const std::unordered_map<std::string_view, TypeTest> table = {
      {"defined", [](const Value &v) { return !v.isUndefined(); }},
      {"undefined", [](const Value &v) { return v.isUndefined(); }},
      {"none", [](const Value &v) { return v.isNone(); }},
      {"string", [](const Value &v) { return v.asString() != nullptr; }},
      {"mapping", [](const Value &v) { return v.asDict() != nullptr; }},
      {"iterable", [](const Value &v) { return isSequence(v) || v.isUndefined(); }},
      {"sequence", [](const Value &v) { return isSequence(v) || v.isUndefined(); }},
      {"number", [](const Value &v) { return v.isNumber(); }},
      {"integer", [](const Value &v) { return v.as<int64_t>() != nullptr; }},
      {"float", [](const Value &v) { return v.as<double>() != nullptr; }},
      {"boolean", [](const Value &v) { return v.as<bool>() != nullptr; }},
      {"true", [](const Value &v) { return v.as<bool>() && *v.as<bool>(); }},
      {"false", [](const Value &v) { return v.as<bool>() && !*v.as<bool>(); }},
      {"callable", isCallable},
      {"upper", [](const Value &v) { return toUpper(v.toString()) == v.toString(); }},
      {"lower", [](const Value &v) { return toLower(v.toString()) == v.toString(); }}};
  return table;
}

/// Jinja's names of the comparisons, as operators.
static std::string_view comparisonOf(std::string_view name) {
  static const std::unordered_map<std::string_view, std::string_view> table = {
      {"eq", "=="}, {"equalto", "=="},    {"==", "=="}, {"ne", "!="}, {"!=", "!="},
      {"lt", "<"},  {"lessthan", "<"},    {"<", "<"},   {"le", "<="}, {"<=", "<="},
      {"gt", ">"},  {"greaterthan", ">"}, {">", ">"},   {"ge", ">="}, {">=", ">="},
      {"in", "in"}, {"sameas", "=="}};
  auto found = table.find(name);
  return found == table.end() ? std::string_view() : found->second;
}

static Value testParity(Call &call) {
  int64_t number = 0, divisor = 2;
  if (call.name == "divisibleby")
    divisor = call.integerArgument(0, "num", 0);
  if (!call.self.toInteger(number) || divisor == 0 || divisor == -1)
    return divisor == -1 ? Value::boolean(true)
                         : call.fail("'" + call.name + "': expected integers, the divisor not 0");
  return Value::boolean((number % divisor == 0) != (call.name == "odd"));
}

Value applyTest(Call &call) {
  if (auto found = typeTests().find(call.name); found != typeTests().end())
    return Value::boolean(found->second(call.self));
  if (call.name == "even" || call.name == "odd" || call.name == "divisibleby")
    return testParity(call);
  std::string_view comparison = comparisonOf(call.name);
  if (comparison.empty())
    return call.fail("expected a known test, but got '" + call.name + "'",
                     StatusCode::Unimplemented);
  const Value *other = call.argument(0, "other");
  if (!other)
    return call.fail("'" + call.name + "': expected an argument");
  return compare(call, comparison, call.self, *other);
}

} // namespace llmir::chat
