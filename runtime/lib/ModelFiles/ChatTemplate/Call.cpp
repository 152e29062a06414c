// Implements access to a call's arguments, and the global functions of chat templates.

#include "Call.h"

#include "Text.h"

#include <algorithm>
#include <array>
#include <ctime>

namespace llmir::chat {

const Value *Call::argument(size_t index, std::string_view keyword) const {
  for (const auto &[name, value] : named)
    if (name == keyword)
      return &value;
  return index < positional.size() ? &positional[index] : nullptr;
}

Value Call::fail(const std::string &message, StatusCode code) {
  if (status.isOk())
    status = Status(code, message);
  return Value();
}

std::string Call::stringArgument(size_t index, std::string_view keyword,
                                 std::string_view fallback) {
  const Value *value = argument(index, keyword);
  if (!value)
    return std::string(fallback);
  if (const std::string *text = value->asString())
    return *text;
  fail("'" + name + "': expected a string as argument " + std::to_string(index) + ", but got " +
       std::string(value->typeName()));
  return {};
}

int64_t Call::integerArgument(size_t index, std::string_view keyword, int64_t fallback) {
  const Value *value = argument(index, keyword);
  int64_t number = fallback;
  if (value && !value->toInteger(number))
    fail("'" + name + "': expected an integer as argument " + std::to_string(index) + ", but got " +
         std::string(value->typeName()));
  return number;
}

std::vector<Value> Call::elementsOf(const Value &value) {
  std::vector<Value> elements;
  if (const List *list = value.asList())
    return list->elements;
  if (const Dict *dict = value.asDict()) {
    for (const auto &member : dict->members)
      elements.push_back(Value::string(member.first));
  } else if (const std::string *text = value.asString()) {
    for (std::string_view character : charactersOf(*text))
      elements.push_back(Value::string(std::string(character)));
  } else if (!value.isUndefined()) {
    fail("'" + name + "': expected something to iterate over, but got " +
         std::string(value.typeName()));
  }
  return elements;
}

Value Call::attributeOf(const Value &value, const Value &key) {
  if (const std::string *text = key.asString()) {
    const Dict *dict = value.asDict();
    const Value *member = dict ? dict->find(*text) : nullptr;
    return member ? *member : Value::undefined(*text);
  }
  int64_t index = 0;
  const List *list = value.asList();
  if (list && key.toInteger(index) && index >= 0 &&
      static_cast<size_t>(index) < list->elements.size())
    return list->elements[static_cast<size_t>(index)];
  return Value::undefined(key.toString());
}

Value Call::result(std::string text) {
  if (text.size() > maxValueSize)
    return fail("'" + name + "': expected at most " + std::to_string(maxValueSize) +
                " bytes, but the result has more");
  return Value::string(std::move(text));
}

static Value makeRange(Call &call) {
  int64_t first = call.integerArgument(0, "start", 0);
  int64_t start = call.positional.size() > 1 ? first : 0;
  int64_t stop = call.positional.size() > 1 ? call.integerArgument(1, "stop", 0) : first;
  int64_t step = call.integerArgument(2, "step", 1);
  constexpr int64_t limit = 100000;
  if (step == 0 || step < -limit || step > limit || start < -limit * limit ||
      start > limit * limit || stop < -limit * limit || stop > limit * limit)
    return call.fail("'range': expected bounds below 10^10 and a step that is not 0");
  std::vector<Value> elements;
  for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (elements.size() == static_cast<size_t>(limit))
      return call.fail("'range': expected at most " + std::to_string(limit) + " elements");
    elements.push_back(Value::integer(i));
  }
  return Value::list(std::move(elements));
}

/// The local time, formatted as C's strftime does.
static Value formatNow(Call &call) {
  std::string format = call.stringArgument(0, "format", "%Y-%m-%d");
  std::time_t now = std::time(nullptr);
  std::tm local = {};
  char text[1024];
  if (!::localtime_r(&now, &local))
    return call.fail("'strftime_now': the local time is not known");
  return Value::string(
      std::string(text, std::strftime(text, sizeof(text), format.c_str(), &local)));
}

static Value makeNamespace(Call &call) {
  auto space = std::make_shared<Namespace>();
  if (const Dict *dict = call.positional.empty() ? nullptr : call.positional[0].asDict())
    for (const auto &[key, value] : dict->members)
      space->members.insert_or_assign(key, value);
  for (const auto &[key, value] : call.named) {
    if (value.as<std::shared_ptr<Namespace>>())
      return call.fail("expected a namespace to hold values, but got a namespace");
    space->members.insert_or_assign(key, value);
  }
  return Value(Value::Storage(std::move(space)));
}

static constexpr std::array<std::string_view, 5> functions = {"range", "namespace", "dict",
                                                              "raise_exception", "strftime_now"};

bool isFunction(std::string_view name) {
  return std::find(functions.begin(), functions.end(), name) != functions.end();
}

Value callFunction(Call &call) {
  if (call.name == "range")
    return makeRange(call);
  if (call.name == "strftime_now")
    return formatNow(call);
  if (call.name == "namespace")
    return makeNamespace(call);
  if (call.name == "dict")
    return Value::dict(call.named);
  return call.fail("the chat template refuses the conversation: " +
                   call.stringArgument(0, "message", "no reason given"));
}

} // namespace llmir::chat
