// The filters of chat templates (`value | name(arguments)`).

#include "Call.h"
#include "Text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace llmir::chat {

static Value filterLength(Call &call) {
  if (const std::string *text = call.self.asString())
    return Value::integer(static_cast<int64_t>(charactersOf(*text).size()));
  return Value::integer(static_cast<int64_t>(call.elementsOf(call.self).size()));
}

static Value filterTrim(Call &call) {
  std::string set = call.stringArgument(0, "chars", "");
  return Value::string(std::string(strip(call.self.toString(), set, StripSide::Both)));
}

static Value filterToJSON(Call &call) {
  const Value *indent = call.argument(0, "indent");
  int64_t width = indent && !indent->isNone() ? call.integerArgument(0, "indent", -1) : -1;
  if (call.self.isUndefined())
    return call.fail("'tojson': expected a value, but '" + call.self.as<Undefined>()->name +
                     "' is undefined");
  std::string text;
  call.self.printJSON(text, static_cast<int>(std::clamp<int64_t>(width, -1, 64)));
  return call.result(std::move(text));
}

static Value filterUpper(Call &call) { return Value::string(toUpper(call.self.toString())); }
static Value filterLower(Call &call) { return Value::string(toLower(call.self.toString())); }
static Value filterTitle(Call &call) { return Value::string(titleCase(call.self.toString())); }
static Value filterCapitalize(Call &call) {
  return Value::string(capitalize(call.self.toString()));
}
static Value filterString(Call &call) { return call.result(call.self.toString()); }

static Value filterDefault(Call &call) {
  const Value *fallback = call.argument(0, "default_value");
  const Value *alsoFalse = call.argument(1, "boolean");
  bool isMissing =
      call.self.isUndefined() || (alsoFalse && alsoFalse->isTrue() && !call.self.isTrue());
  if (!isMissing)
    return call.self;
  return fallback ? *fallback : Value::string("");
}

static Value filterJoin(Call &call) {
  std::string separator = call.argument(0, "d") ? call.argument(0, "d")->toString() : "";
  const Value *attribute = call.argument(1, "attribute");
  std::string text;
  bool isFirst = true;
  for (const Value &element : call.elementsOf(call.self)) {
    if (!isFirst)
      text += separator;
    isFirst = false;
    (attribute ? call.attributeOf(element, *attribute) : element).print(text);
    if (text.size() > maxValueSize)
      break;
  }
  return call.result(std::move(text));
}

static Value filterFirst(Call &call) {
  std::vector<Value> elements = call.elementsOf(call.self);
  return elements.empty() ? Value::undefined("first element") : elements.front();
}

static Value filterLast(Call &call) {
  std::vector<Value> elements = call.elementsOf(call.self);
  return elements.empty() ? Value::undefined("last element") : elements.back();
}

static Value filterReplace(Call &call) {
  call.self = Value::string(call.self.toString());
  return callMethod(call);
}

static Value filterItems(Call &call) {
  if (call.self.isUndefined())
    return Value::list({});
  if (!call.self.asDict())
    return call.fail("'items': expected a dictionary, but got " +
                     std::string(call.self.typeName()));
  return callMethod(call);
}

static Value filterList(Call &call) { return Value::list(call.elementsOf(call.self)); }

static Value filterReverse(Call &call) {
  std::vector<Value> elements = call.elementsOf(call.self);
  std::reverse(elements.begin(), elements.end());
  if (!call.self.asString())
    return Value::list(std::move(elements));
  std::string text;
  for (const Value &element : elements)
    element.print(text);
  return Value::string(std::move(text));
}

static Value filterInt(Call &call) {
  int64_t fallback = call.integerArgument(0, "default", 0), number = 0;
  if (call.self.toInteger(number))
    return Value::integer(number);
  double value = 0.0;
  if (const double *real = call.self.as<double>()) {
    value = *real;
  } else if (const std::string *text = call.self.asString()) {
    std::string digits(strip(*text, "", StripSide::Both));
    const char *end = digits.data() + digits.size();
    if (std::from_chars(digits.data(), end, number).ptr == end && !digits.empty())
      return Value::integer(number);
    if (digits.empty() || std::from_chars(digits.data(), end, value).ptr != end)
      return Value::integer(fallback);
  } else {
    return Value::integer(fallback);
  }
  if (!(std::fabs(value) < 9.2e18))
    return Value::integer(fallback);
  return Value::integer(static_cast<int64_t>(value));
}

static Value filterFloat(Call &call) {
  if (call.self.isNumber())
    return Value(Value::Storage(call.self.toDouble()));
  double number = 0.0;
  std::string digits(strip(call.self.toString(), "", StripSide::Both));
  const char *end = digits.data() + digits.size();
  if (digits.empty() || std::from_chars(digits.data(), end, number).ptr != end)
    number = call.argument(0, "default") ? call.argument(0, "default")->toDouble() : 0.0;
  return Value(Value::Storage(number));
}

static Value filterAbs(Call &call) {
  int64_t number = 0;
  if (call.self.toInteger(number) && number != std::numeric_limits<int64_t>::min())
    return Value::integer(number < 0 ? -number : number);
  if (!call.self.isNumber())
    return call.fail("'abs': expected a number, but got " + std::string(call.self.typeName()));
  return Value(Value::Storage(std::fabs(call.self.toDouble())));
}

static Value filterRound(Call &call) {
  int64_t digits = std::clamp<int64_t>(call.integerArgument(0, "precision", 0), -300, 300);
  if (!call.self.isNumber())
    return call.fail("'round': expected a number, but got " + std::string(call.self.typeName()));
  double scale = std::pow(10.0, static_cast<double>(digits));
  return Value(Value::Storage(std::nearbyint(call.self.toDouble() * scale) / scale));
}

static Value filterUnique(Call &call) {
  std::vector<Value> unique;
  for (const Value &element : call.elementsOf(call.self))
    if (std::none_of(unique.begin(), unique.end(),
                     [&](const Value &seen) { return seen.equals(element); }))
      unique.push_back(element);
  return Value::list(std::move(unique));
}

/// Numbers before each other by value, strings by their bytes; other pairs fail.
static bool isLess(Call &call, const Value &a, const Value &b) {
  if (a.isNumber() && b.isNumber())
    return a.toDouble() < b.toDouble();
  if (a.asString() && b.asString())
    return *a.asString() < *b.asString();
  call.fail("'" + call.name + "': expected two numbers or two strings to compare, but got " +
            std::string(a.typeName()) + " and " + std::string(b.typeName()));
  return false;
}

static Value filterSort(Call &call) {
  bool isReverse = call.argument(0, "reverse") && call.argument(0, "reverse")->isTrue();
  bool isExact = call.argument(1, "case_sensitive") && call.argument(1, "case_sensitive")->isTrue();
  const Value *attribute = call.argument(2, "attribute");
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value &element : call.elementsOf(call.self)) {
    Value key = attribute ? call.attributeOf(element, *attribute) : element;
    if (const std::string *text = key.asString(); text && !isExact)
      key = Value::string(toLower(*text));
    keyed.emplace_back(std::move(key), element);
  }
  // Insertion keeps equal elements in order and bears an inconsistent comparison.
  std::vector<Value> sorted;
  std::vector<Value> keys;
  for (auto &[key, element] : keyed) {
    size_t at = keys.size();
    while (at > 0 &&
           (isReverse ? isLess(call, keys[at - 1], key) : isLess(call, key, keys[at - 1])))
      --at;
    keys.insert(keys.begin() + static_cast<ptrdiff_t>(at), key);
    sorted.insert(sorted.begin() + static_cast<ptrdiff_t>(at), element);
  }
  return Value::list(std::move(sorted));
}

static Value filterDictSort(Call &call) {
  const Dict *dict = call.self.asDict();
  if (!dict)
    return call.fail("'dictsort': expected a dictionary, but got " +
                     std::string(call.self.typeName()));
  auto members = dict->members;
  std::sort(members.begin(), members.end(), [](const auto &a, const auto &b) {
    std::string lowerA = toLower(a.first), lowerB = toLower(b.first);
    return lowerA != lowerB ? lowerA < lowerB : a.first < b.first;
  });
  std::vector<Value> pairs;
  for (auto &[key, value] : members)
    pairs.push_back(Value::list({Value::string(key), value}, ListKind::Tuple));
  return Value::list(std::move(pairs));
}

static Value filterExtreme(Call &call) {
  std::vector<Value> elements = call.elementsOf(call.self);
  if (elements.empty())
    return Value::undefined(call.name);
  Value best = elements.front();
  for (const Value &element : elements)
    if (call.name == "min" ? isLess(call, element, best) : isLess(call, best, element))
      best = element;
  return best;
}

static Value filterSum(Call &call) {
  const Value *attribute = call.argument(0, "attribute");
  double sum = 0.0;
  bool isWhole = true;
  for (const Value &element : call.elementsOf(call.self)) {
    Value number = attribute ? call.attributeOf(element, *attribute) : element;
    if (!number.isNumber())
      return call.fail("'sum': expected numbers, but got " + std::string(number.typeName()));
    isWhole = isWhole && !number.as<double>();
    sum += number.toDouble();
  }
  if (isWhole && std::fabs(sum) < 9e15)
    return Value::integer(static_cast<int64_t>(sum));
  return Value(Value::Storage(sum));
}

/// Each element's attribute, or each element through a filter that is named first.
static Value filterMap(Call &call) {
  const Value *attribute = call.argument(call.positional.size(), "attribute");
  const Value *fallback = call.argument(call.positional.size(), "default");
  std::vector<Value> mapped;
  for (const Value &element : call.elementsOf(call.self)) {
    if (attribute) {
      Value value = call.attributeOf(element, *attribute);
      mapped.push_back(value.isUndefined() && fallback ? *fallback : value);
      continue;
    }
    if (call.positional.empty())
      return call.fail("'map': expected the name of a filter or an attribute");
    Call inner = {call.stringArgument(0, "filter", ""), element, call.positional, {}, {}};
    inner.positional.erase(inner.positional.begin());
    mapped.push_back(applyFilter(inner));
    if (!inner.status.isOk())
      return call.fail(inner.status.message(), inner.status.code());
  }
  return Value::list(std::move(mapped));
}

/// select, reject, selectattr and rejectattr: the elements that a test keeps; without one, the
/// true.
static Value filterSelect(Call &call) {
  bool usesAttribute = call.name.ends_with("attr");
  bool keeps = call.name.starts_with("select");
  size_t testAt = usesAttribute ? 1 : 0;
  if (usesAttribute && call.positional.empty())
    return call.fail("'" + call.name + "': expected the name of an attribute");
  std::vector<Value> kept;
  for (const Value &element : call.elementsOf(call.self)) {
    Value tested = usesAttribute ? call.attributeOf(element, call.positional[0]) : element;
    bool holds = tested.isTrue();
    if (call.positional.size() > testAt) {
      Call test = {call.stringArgument(testAt, "test", ""), tested, call.positional, {}, {}};
      test.positional.erase(test.positional.begin(),
                            test.positional.begin() + static_cast<ptrdiff_t>(testAt) + 1);
      holds = applyTest(test).isTrue();
      if (!test.status.isOk())
        return call.fail(test.status.message(), test.status.code());
    }
    if (holds == keeps)
      kept.push_back(element);
  }
  return Value::list(std::move(kept));
}

static Value filterIndent(Call &call) {
  int64_t width = std::clamp<int64_t>(call.integerArgument(0, "width", 4), 0, 256);
  bool indentsFirst = call.argument(1, "first") && call.argument(1, "first")->isTrue();
  bool indentsBlank = call.argument(2, "blank") && call.argument(2, "blank")->isTrue();
  std::string text, indentation(static_cast<size_t>(width), ' ');
  bool isFirst = true;
  for (const std::string &line : split(call.self.toString(), "\n", -1)) {
    if (!isFirst)
      text += '\n';
    if (isFirst ? indentsFirst : indentsBlank || !line.empty())
      text += indentation;
    text += line;
    isFirst = false;
  }
  return call.result(std::move(text));
}

static Value filterEscape(Call &call) {
  std::string text;
  for (char c : call.self.toString()) {
    switch (c) {
    case '&':
      text += "&amp;";
      break;
    case '<':
      text += "&lt;";
      break;
    case '>':
      text += "&gt;";
      break;
    case '"':
      text += "&#34;";
      break;
    case '\'':
      text += "&#39;";
      break;
    default:
      text += c;
    }
  }
  return call.result(std::move(text));
}

static Value filterSafe(Call &call) { return call.self; }

static Value filterWordCount(Call &call) {
  return Value::integer(static_cast<int64_t>(split(call.self.toString(), "", -1).size()));
}

using Filter = Value (*)(Call &);

static const std::unordered_map<std::string_view, Filter> &filters() {
  static const std::unordered_map<std::string_view, Filter> table = {
      {"abs", filterAbs},           {"capitalize", filterCapitalize},
      {"count", filterLength},      {"d", filterDefault},
      {"default", filterDefault},   {"dictsort", filterDictSort},
      {"e", filterEscape},          {"escape", filterEscape},
      {"first", filterFirst},       {"float", filterFloat},
      {"indent", filterIndent},     {"int", filterInt},
      {"items", filterItems},       {"join", filterJoin},
      {"last", filterLast},         {"length", filterLength},
      {"list", filterList},         {"lower", filterLower},
      {"map", filterMap},           {"max", filterExtreme},
      {"min", filterExtreme},       {"reject", filterSelect},
      {"rejectattr", filterSelect}, {"replace", filterReplace},
      {"reverse", filterReverse},   {"round", filterRound},
      {"safe", filterSafe},         {"select", filterSelect},
      {"selectattr", filterSelect}, {"sort", filterSort},
      {"string", filterString},     {"sum", filterSum},
      {"title", filterTitle},       {"tojson", filterToJSON},
      {"trim", filterTrim},         {"unique", filterUnique},
      {"upper", filterUpper},       {"wordcount", filterWordCount}};
  return table;
}

Value applyFilter(Call &call) {
  auto found = filters().find(call.name);
  if (found == filters().end())
    return call.fail("expected a known filter, but got '" + call.name + "'",
                     StatusCode::Unimplemented);
  return found->second(call);
}

} // namespace llmir::chat
