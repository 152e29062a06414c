// The methods of strings and dictionaries that chat templates call (`value.name(arguments)`).

#include "Call.h"
#include "Text.h"

#include <algorithm>

namespace llmir::chat {

static Value listOf(std::vector<std::string> texts) {
  std::vector<Value> elements;
  for (std::string &text : texts)
    elements.push_back(Value::string(std::move(text)));
  return Value::list(std::move(elements));
}

static Value replaceAll(Call &call, const std::string &text) {
  std::string from = call.stringArgument(0, "old", ""), to = call.stringArgument(1, "new", "");
  const Value *countArgument = call.argument(2, "count");
  int64_t count =
      countArgument && !countArgument->isNone() ? call.integerArgument(2, "count", -1) : -1;
  std::string replaced;
  size_t start = 0;
  // An empty string is found before each character and at the end.
  if (from.empty()) {
    std::vector<std::string_view> characters = charactersOf(text);
    for (size_t i = 0; i <= characters.size() && replaced.size() <= maxValueSize; ++i) {
      if (count < 0 || static_cast<int64_t>(i) < count)
        replaced += to;
      if (i < characters.size())
        replaced += characters[i];
    }
    return call.result(std::move(replaced));
  }
  for (size_t found; count != 0 && (found = text.find(from, start)) != std::string::npos;
       start = found + from.size()) {
    replaced.append(text, start, found - start).append(to);
    count -= count > 0;
    if (replaced.size() > maxValueSize)
      return call.result(std::move(replaced));
  }
  return call.result(replaced.append(text, start));
}

/// startswith and endswith with a string or a tuple of them.
static Value matchesEnd(Call &call, const std::string &text) {
  bool atStart = call.name == "startswith";
  const Value *argument = call.argument(0, "prefix");
  if (!argument)
    return call.fail("'" + call.name + "': expected a string");
  std::vector<Value> candidates;
  if (argument->asList())
    candidates = argument->asList()->elements;
  else
    candidates.push_back(*argument);
  for (const Value &candidate : candidates) {
    if (!candidate.asString())
      return call.fail("'" + call.name + "': expected a string, but got " +
                       std::string(candidate.typeName()));
    if (atStart ? text.starts_with(*candidate.asString()) : text.ends_with(*candidate.asString()))
      return Value::boolean(true);
  }
  return Value::boolean(false);
}

static Value findText(Call &call, const std::string &text) {
  std::string wanted = call.stringArgument(0, "sub", "");
  size_t found = call.name == "find" ? text.find(wanted) : text.rfind(wanted);
  if (found == std::string::npos)
    return Value::integer(-1);
  return Value::integer(
      static_cast<int64_t>(charactersOf(std::string_view(text).substr(0, found)).size()));
}

static Value countText(Call &call, const std::string &text) {
  std::string wanted = call.stringArgument(0, "sub", "");
  if (wanted.empty())
    return Value::integer(static_cast<int64_t>(charactersOf(text).size()) + 1);
  int64_t count = 0;
  for (size_t at = text.find(wanted); at != std::string::npos;
       at = text.find(wanted, at + wanted.size()))
    ++count;
  return Value::integer(count);
}

static Value splitText(Call &call, const std::string &text) {
  const Value *separator = call.argument(0, "sep");
  bool atSpaces = !separator || separator->isNone();
  std::string at = atSpaces ? "" : call.stringArgument(0, "sep", "");
  if (!atSpaces && at.empty())
    return call.fail("'split': expected a separator, but got an empty string");
  long limit = static_cast<long>(call.integerArgument(1, "maxsplit", -1));
  if (call.name == "split" || limit < 0)
    return listOf(split(text, at, limit));
  std::vector<std::string> parts = split(text, at, -1);
  // From the right: what is too much at the front is put together again.
  while (!atSpaces && static_cast<long>(parts.size()) > limit + 1) {
    parts[1] = parts[0] + at + parts[1];
    parts.erase(parts.begin());
  }
  return listOf(std::move(parts));
}

static Value stripText(Call &call, const std::string &text) {
  const Value *set = call.argument(0, "chars");
  std::string characters = set && !set->isNone() ? call.stringArgument(0, "chars", "") : "";
  StripSide side = call.name == "strip"    ? StripSide::Both
                   : call.name == "lstrip" ? StripSide::Left
                                           : StripSide::Right;
  return Value::string(std::string(strip(text, characters, side)));
}

static Value removeEnd(Call &call, const std::string &text) {
  std::string end = call.stringArgument(0, "prefix", "");
  if (call.name == "removeprefix")
    return Value::string(text.starts_with(end) ? text.substr(end.size()) : text);
  return Value::string(text.ends_with(end) ? text.substr(0, text.size() - end.size()) : text);
}

static Value classifyText(const std::string &name, const std::string &text) {
  auto isDigit = [](char c) { return c >= '0' && c <= '9'; };
  if (name == "isdigit")
    return Value::boolean(!text.empty() && std::all_of(text.begin(), text.end(), isDigit));
  if (name == "isspace")
    return Value::boolean(!text.empty() && strip(text, "", StripSide::Both).empty());
  bool isUpper = name == "isupper";
  return Value::boolean((isUpper ? toUpper(text) : toLower(text)) == text &&
                        (isUpper ? toLower(text) : toUpper(text)) != text);
}

static Value callStringMethod(Call &call, const std::string &text) {
  const std::string &name = call.name;
  if (name == "strip" || name == "lstrip" || name == "rstrip")
    return stripText(call, text);
  if (name == "split" || name == "rsplit")
    return splitText(call, text);
  if (name == "startswith" || name == "endswith")
    return matchesEnd(call, text);
  if (name == "replace")
    return replaceAll(call, text);
  if (name == "find" || name == "rfind")
    return findText(call, text);
  if (name == "count")
    return countText(call, text);
  if (name == "removeprefix" || name == "removesuffix")
    return removeEnd(call, text);
  if (name == "isdigit" || name == "isspace" || name == "isupper" || name == "islower")
    return classifyText(name, text);
  if (name == "splitlines")
    return listOf(splitLines(text));
  if (name == "join") {
    Call join = {
        "join", call.positional.empty() ? Value() : call.positional[0], {call.self}, {}, {}};
    Value joined = applyFilter(join);
    return join.status.isOk() ? joined : call.fail(join.status.message());
  }
  static constexpr std::string_view shared[] = {"upper", "lower", "title", "capitalize"};
  if (std::find(std::begin(shared), std::end(shared), name) != std::end(shared))
    return applyFilter(call);
  return call.fail("expected a known method of a string, but got '" + name + "'",
                   StatusCode::Unimplemented);
}

static Value callDictMethod(Call &call, const Dict &dict) {
  std::vector<Value> elements;
  if (call.name == "get") {
    const Value *member = dict.find(call.stringArgument(0, "key", ""));
    const Value *fallback = call.argument(1, "default");
    return member ? *member : fallback ? *fallback : Value::none();
  }
  for (const auto &[key, value] : dict.members) {
    if (call.name == "items")
      elements.push_back(Value::list({Value::string(key), value}, ListKind::Tuple));
    else if (call.name == "keys")
      elements.push_back(Value::string(key));
    else if (call.name == "values")
      elements.push_back(value);
  }
  if (call.name != "items" && call.name != "keys" && call.name != "values")
    return call.fail("expected a known method of a dictionary, but got '" + call.name + "'",
                     StatusCode::Unimplemented);
  return Value::list(std::move(elements));
}

Value callMethod(Call &call) {
  if (const std::string *text = call.self.asString()) {
    std::string copy = *text;
    return callStringMethod(call, copy);
  }
  if (const Dict *dict = call.self.asDict())
    return callDictMethod(call, *dict);
  if (call.self.isUndefined())
    return call.fail("expected a value to call '" + call.name + "' on, but '" +
                     call.self.as<Undefined>()->name + "' is undefined");
  return call.fail("expected a known method, but got '" + call.name + "' of " +
                       std::string(call.self.typeName()),
                   StatusCode::Unimplemented);
}

} // namespace llmir::chat
