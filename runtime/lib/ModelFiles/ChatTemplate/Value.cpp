// Implements template values: conversion from JSON, truth, equality.

#include "Value.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace llmir::chat {

const Value *Dict::find(std::string_view key) const {
  for (const auto &[name, value] : members)
    if (name == key)
      return &value;
  return nullptr;
}

/// Adds an element's extent to that of the list or dictionary which holds it.
static void grow(Extent &extent, const Value &element) {
  Extent inner = element.extent();
  extent.depth = std::max(extent.depth, inner.depth + 1);
  extent.weight = std::min(extent.weight + inner.weight, maxValueSize + 1);
}

static bool isTooLarge(const Extent &extent) {
  return extent.depth > maxValueDepth || extent.weight > maxValueSize;
}

Value Value::list(std::vector<Value> elements, ListKind kind) {
  Extent extent;
  for (const Value &element : elements)
    grow(extent, element);
  if (isTooLarge(extent))
    return undefined("too large a list");
  return Value(Storage(std::make_shared<const List>(List{std::move(elements), extent, kind})));
}

Value Value::dict(std::vector<std::pair<std::string, Value>> members) {
  Extent extent;
  for (const auto &member : members)
    grow(extent, member.second);
  if (isTooLarge(extent))
    return undefined("too large a dictionary");
  return Value(Storage(std::make_shared<const Dict>(Dict{std::move(members), extent})));
}

Value Value::fromJSON(const nlohmann::ordered_json &json, int depth) {
  if (depth > maxValueDepth)
    return undefined("too deeply nested json");
  switch (json.type()) {
  case nlohmann::ordered_json::value_t::boolean:
    return boolean(json.get<bool>());
  case nlohmann::ordered_json::value_t::number_integer:
    return integer(json.get<int64_t>());
  case nlohmann::ordered_json::value_t::number_unsigned: {
    uint64_t number = json.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return Value(Storage(static_cast<double>(number)));
    return integer(static_cast<int64_t>(number));
  }
  case nlohmann::ordered_json::value_t::number_float:
    return Value(Storage(json.get<double>()));
  case nlohmann::ordered_json::value_t::string:
    return string(json.get<std::string>());
  case nlohmann::ordered_json::value_t::array: {
    std::vector<Value> elements;
    for (const nlohmann::ordered_json &element : json)
      elements.push_back(fromJSON(element, depth + 1));
    return list(std::move(elements));
  }
  case nlohmann::ordered_json::value_t::object: {
    std::vector<std::pair<std::string, Value>> members;
    for (const auto &[key, member] : json.items())
      members.emplace_back(key, fromJSON(member, depth + 1));
    return dict(std::move(members));
  }
  default:
    return none();
  }
}

const List *Value::asList() const {
  const auto *list = as<std::shared_ptr<const List>>();
  return list ? list->get() : nullptr;
}

const Dict *Value::asDict() const {
  const auto *dict = as<std::shared_ptr<const Dict>>();
  return dict ? dict->get() : nullptr;
}

double Value::toDouble() const {
  if (const double *number = as<double>())
    return *number;
  int64_t integer = 0;
  toInteger(integer);
  return static_cast<double>(integer);
}

bool Value::toInteger(int64_t &number) const {
  if (const int64_t *integer = as<int64_t>())
    number = *integer;
  else if (const bool *truth = as<bool>())
    number = *truth;
  else
    return false;
  return true;
}

Extent Value::extent() const {
  if (const List *list = asList())
    return list->extent;
  if (const Dict *dict = asDict())
    return dict->extent;
  return {};
}

bool Value::isTrue() const {
  if (isUndefined() || isNone())
    return false;
  if (isNumber())
    return toDouble() != 0.0;
  if (const std::string *text = asString())
    return !text->empty();
  if (const List *list = asList())
    return !list->elements.empty();
  if (const Dict *dict = asDict())
    return !dict->members.empty();
  return true;
}

static bool equalDicts(const Dict &left, const Dict &right) {
  if (left.members.size() != right.members.size())
    return false;
  for (const auto &[key, value] : left.members) {
    const Value *other = right.find(key);
    if (!other || !value.equals(*other))
      return false;
  }
  return true;
}

bool Value::equals(const Value &other) const {
  if (isNumber() && other.isNumber()) {
    int64_t a = 0, b = 0;
    if (toInteger(a) && other.toInteger(b))
      return a == b;
    return toDouble() == other.toDouble();
  }
  if (storage_.index() != other.storage_.index())
    return false;
  if (const std::string *text = asString())
    return *text == *other.asString();
  if (const List *list = asList())
    return list == other.asList() ||
           (list->kind == other.asList()->kind &&
            std::equal(list->elements.begin(), list->elements.end(),
                       other.asList()->elements.begin(), other.asList()->elements.end(),
                       [](const Value &a, const Value &b) { return a.equals(b); }));
  if (const Dict *dict = asDict())
    return dict == other.asDict() || equalDicts(*dict, *other.asDict());
  if (const auto *space = as<std::shared_ptr<Namespace>>())
    return *space == *other.as<std::shared_ptr<Namespace>>();
  return isUndefined() || isNone();
}

std::string_view Value::typeName() const {
  static constexpr std::string_view names[] = {
      "an undefined value", "none",        "a bool", "an integer", "a float", "a string", "a list",
      "a dictionary",       "a namespace", "a loop", "a function"};
  return names[storage_.index()];
}

} // namespace llmir::chat
