// Implements the operators of chat templates.

#include "Operators.h"

#include "Text.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace llmir::chat {

/// The sign of left - right; none for pairs without an order.
static std::optional<int> order(const Value &left, const Value &right) {
  int64_t a = 0, b = 0;
  if (left.toInteger(a) && right.toInteger(b))
    return a < b ? -1 : a > b;
  if (left.isNumber() && right.isNumber())
    return left.toDouble() < right.toDouble() ? -1 : left.toDouble() > right.toDouble();
  if (left.asString() && right.asString())
    return left.asString()->compare(*right.asString());
  return std::nullopt;
}

static bool contains(Call &call, const Value &container, const Value &element) {
  if (const std::string *text = container.asString()) {
    if (const std::string *part = element.asString())
      return text->find(*part) != std::string::npos;
    call.fail("'in': expected a string to look for in a string, but got " +
              std::string(element.typeName()));
    return false;
  }
  if (const Dict *dict = container.asDict())
    return element.asString() && dict->find(*element.asString());
  std::vector<Value> elements = call.elementsOf(container);
  return std::any_of(elements.begin(), elements.end(),
                     [&](const Value &other) { return other.equals(element); });
}

Value compare(Call &call, std::string_view operation, const Value &left, const Value &right) {
  if (operation == "==" || operation == "!=")
    return Value::boolean(left.equals(right) == (operation == "=="));
  if (operation == "in" || operation == "not in")
    return Value::boolean(contains(call, right, left) == (operation == "in"));
  std::optional<int> sign = order(left, right);
  if (!sign)
    return call.fail("'" + std::string(operation) +
                     "': expected two numbers or two strings, but got " +
                     std::string(left.typeName()) + " and " + std::string(right.typeName()));
  if (operation == "<")
    return Value::boolean(*sign < 0);
  if (operation == "<=")
    return Value::boolean(*sign <= 0);
  return Value::boolean(operation == ">" ? *sign > 0 : *sign >= 0);
}

static Value overflow(Call &call, std::string_view operation) {
  return call.fail("'" + std::string(operation) + "': expected a result below 2^63");
}

static Value power(Call &call, int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
      return overflow(call, "**");
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base))
      return overflow(call, "**");
  }
  return Value::integer(result);
}

/// Python's // and %: rounded towards negative infinity, the remainder has the divisor's sign.
static Value divide(Call &call, std::string_view operation, int64_t a, int64_t b) {
  if (b == -1 && operation == "//")
    return __builtin_sub_overflow(int64_t(0), a, &a) ? overflow(call, operation)
                                                     : Value::integer(a);
  if (b == -1)
    return Value::integer(0);
  int64_t quotient = a / b, remainder = a % b;
  if (remainder != 0 && (remainder < 0) != (b < 0)) {
    --quotient;
    remainder += b;
  }
  return Value::integer(operation == "//" ? quotient : remainder);
}

static Value combineIntegers(Call &call, std::string_view operation, int64_t a, int64_t b) {
  int64_t result = 0;
  if (operation == "+")
    return __builtin_add_overflow(a, b, &result) ? overflow(call, operation)
                                                 : Value::integer(result);
  if (operation == "-")
    return __builtin_sub_overflow(a, b, &result) ? overflow(call, operation)
                                                 : Value::integer(result);
  if (operation == "*")
    return __builtin_mul_overflow(a, b, &result) ? overflow(call, operation)
                                                 : Value::integer(result);
  return operation == "**" ? power(call, a, b) : divide(call, operation, a, b);
}

static Value combineNumbers(Call &call, std::string_view operation, const Value &left,
                            const Value &right) {
  double a = left.toDouble(), b = right.toDouble(), result = 0.0;
  bool divides = operation == "/" || operation == "//" || operation == "%";
  if (divides && b == 0.0)
    return call.fail("'" + std::string(operation) + "': expected a divisor other than 0");
  int64_t m = 0, n = 0;
  bool isWhole =
      left.toInteger(m) && right.toInteger(n) && operation != "/" && !(operation == "**" && n < 0);
  if (isWhole)
    return combineIntegers(call, operation, m, n);
  if (operation == "+")
    result = a + b;
  else if (operation == "-")
    result = a - b;
  else if (operation == "*")
    result = a * b;
  else if (operation == "/")
    result = a / b;
  else if (operation == "//")
    result = std::floor(a / b);
  else if (operation == "%")
    result = a - b * std::floor(a / b);
  else
    result = std::pow(a, b);
  return Value(Value::Storage(result));
}

static Value repeat(Call &call, const Value &repeated, int64_t count) {
  count = std::max<int64_t>(count, 0);
  const std::string *text = repeated.asString();
  size_t size = text ? text->size() : repeated.asList()->elements.size();
  if (size != 0 && static_cast<uint64_t>(count) > maxValueSize / size)
    return call.fail("'*': expected a result of at most " + std::to_string(maxValueSize) +
                     " bytes or elements");
  std::string string;
  std::vector<Value> elements;
  for (int64_t i = 0; i < count && size != 0; ++i) {
    if (text)
      string += *text;
    else
      elements.insert(elements.end(), repeated.asList()->elements.begin(),
                      repeated.asList()->elements.end());
  }
  return text ? Value::string(std::move(string)) : Value::list(std::move(elements));
}

Value combine(Call &call, std::string_view operation, const Value &left, const Value &right) {
  call.name = operation;
  if (operation == "~")
    return call.result(left.toString() + right.toString());
  if (left.isNumber() && right.isNumber())
    return combineNumbers(call, operation, left, right);
  if (operation == "+" && left.asString() && right.asString())
    return call.result(*left.asString() + *right.asString());
  if (operation == "+" && left.asList() && right.asList()) {
    std::vector<Value> elements = left.asList()->elements;
    elements.insert(elements.end(), right.asList()->elements.begin(),
                    right.asList()->elements.end());
    return Value::list(std::move(elements));
  }
  int64_t count = 0;
  if (operation == "*" && (left.asString() || left.asList()) && right.toInteger(count))
    return repeat(call, left, count);
  if (operation == "*" && (right.asString() || right.asList()) && left.toInteger(count))
    return repeat(call, right, count);
  for (const Value *operand : {&left, &right})
    if (const Undefined *undefined = operand->as<Undefined>())
      return call.fail("'" + std::string(operation) + "': '" + undefined->name + "' is undefined");
  return call.fail("'" + std::string(operation) +
                   "': expected operands that go together, but got " +
                   std::string(left.typeName()) + " and " + std::string(right.typeName()));
}

/// A bound of a slice as an index into `size` elements, as Python clamps it.
static int64_t boundOf(Call &call, const Value *bound, int64_t size, int64_t step,
                       int64_t fallback) {
  if (!bound || bound->isNone())
    return fallback;
  int64_t index = 0;
  if (!bound->toInteger(index)) {
    call.fail("expected an integer as bound of a slice, but got " + std::string(bound->typeName()));
    return fallback;
  }
  if (index < 0)
    index += size;
  return step > 0 ? std::clamp<int64_t>(index, 0, size) : std::clamp<int64_t>(index, -1, size - 1);
}

Value slice(Call &call, const Value &sliced, const Value *start, const Value *stop,
            const Value *step) {
  if (!sliced.asString() && !sliced.asList())
    return call.fail("expected a string or a list to slice, but got " +
                     std::string(sliced.typeName()));
  int64_t stride = 1;
  if (step && !step->isNone() && (!step->toInteger(stride) || stride == 0))
    return call.fail("expected an integer other than 0 as step of a slice");
  std::vector<Value> elements = call.elementsOf(sliced);
  int64_t size = static_cast<int64_t>(elements.size());
  stride = std::clamp<int64_t>(stride, -size - 1, size + 1);
  int64_t first = boundOf(call, start, size, stride, stride > 0 ? 0 : size - 1);
  int64_t last = boundOf(call, stop, size, stride, stride > 0 ? size : -1);
  std::vector<Value> kept;
  for (int64_t i = first; stride > 0 ? i < last : i > last; i += stride)
    kept.push_back(elements[static_cast<size_t>(i)]);
  if (sliced.asList())
    return Value::list(std::move(kept));
  std::string text;
  for (const Value &character : kept)
    character.print(text);
  return Value::string(std::move(text));
}

/// A member of the `loop` variable.
static Value lookUpLoop(const Loop &loop, const std::string &name) {
  int64_t index = static_cast<int64_t>(loop.index);
  int64_t size = static_cast<int64_t>(loop.items->elements.size());
  if (name == "index")
    return Value::integer(index + 1);
  if (name == "index0")
    return Value::integer(index);
  if (name == "revindex")
    return Value::integer(size - index);
  if (name == "revindex0")
    return Value::integer(size - index - 1);
  if (name == "length")
    return Value::integer(size);
  if (name == "first")
    return Value::boolean(index == 0);
  if (name == "last")
    return Value::boolean(index + 1 == size);
  if (name == "previtem" && index > 0)
    return loop.items->elements[loop.index - 1];
  if (name == "nextitem" && index + 1 < size)
    return loop.items->elements[loop.index + 1];
  return Value::undefined("loop." + name);
}

Value lookUp(Call &call, const Value &value, const Value &index) {
  if (const Undefined *undefined = value.as<Undefined>())
    return call.fail("expected a value to look up '" + index.toString() + "' in, but '" +
                     undefined->name + "' is undefined");
  if (const std::string *name = index.asString()) {
    if (const auto *loop = value.as<std::shared_ptr<Loop>>())
      return lookUpLoop(**loop, *name);
    if (const auto *space = value.as<std::shared_ptr<Namespace>>()) {
      auto found = (*space)->members.find(*name);
      return found == (*space)->members.end() ? Value::undefined(*name) : found->second;
    }
    return call.attributeOf(value, index);
  }
  int64_t position = 0;
  if ((!value.asList() && !value.asString()) || !index.toInteger(position))
    return Value::undefined(index.toString());
  std::vector<std::string_view> characters;
  if (const std::string *text = value.asString())
    characters = charactersOf(*text);
  int64_t size =
      static_cast<int64_t>(value.asList() ? value.asList()->elements.size() : characters.size());
  if (position < 0)
    position += size;
  if (position < 0 || position >= size)
    return Value::undefined("element " + index.toString());
  if (value.asList())
    return value.asList()->elements[static_cast<size_t>(position)];
  return Value::string(std::string(characters[static_cast<size_t>(position)]));
}

} // namespace llmir::chat
