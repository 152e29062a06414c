// Prints template values: as Python's str and repr do, and as its json.dumps does with
// ensure_ascii=False.

#include "Value.h"

#include "llmir/Base/UTF8.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace llmir::chat {

/// Python's repr of a float: the shortest digits that read back, with an exponent below 1e-4 and
/// from 1e16 on.
static std::string printFloat(double number) {
  if (std::isnan(number))
    return "nan";
  if (std::isinf(number))
    return number < 0 ? "-inf" : "inf";
  double magnitude = std::fabs(number);
  bool isScientific = magnitude != 0.0 && (magnitude < 1e-4 || magnitude >= 1e16);
  char digits[64];
  auto format = isScientific ? std::chars_format::scientific : std::chars_format::fixed;
  std::string text(digits, std::to_chars(digits, digits + sizeof(digits), number, format).ptr);
  if (!isScientific && text.find('.') == std::string::npos)
    text += ".0";
  return text;
}

/// Python's repr of a string: single quotes unless that needs more escapes.
static void printQuotedString(const std::string &value, std::string &text) {
  bool usesDouble = value.find('\'') != std::string::npos && value.find('"') == std::string::npos;
  char quote = usesDouble ? '"' : '\'';
  text += quote;
  for (char c : value) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
      text += '\\';
      text += c;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      text += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\x%02x", byte);
      text += escape;
    } else {
      text += c;
    }
  }
  text += quote;
}

/// A JSON string; bytes that are no UTF-8 become U+FFFD.
static void printJSONString(std::string_view value, std::string &text) {
  text += '"';
  for (size_t position = 0; position < value.size();) {
    UTF8Step step = nextUTF8(value, position);
    char c = value[position];
    if (step.kind != UTF8Kind::Character) {
      text += replacementCharacter;
    } else if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      static constexpr std::string_view named = "\b\t\n\f\r", letters = "btnfr";
      if (size_t index = named.find(c); index != std::string_view::npos) {
        text += '\\';
        text += letters[index];
      } else {
        char escape[8];
        std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(c));
        text += escape;
      }
    } else {
      text += value.substr(position, step.length);
    }
    position += step.length;
  }
  text += '"';
}

void Value::print(std::string &text) const {
  if (const std::string *string = asString())
    text += *string;
  else if (!isUndefined())
    printQuoted(text);
}

std::string Value::toString() const {
  std::string text;
  print(text);
  return text;
}

void Value::printQuoted(std::string &text) const {
  if (text.size() > maxValueSize)
    return;
  std::string_view separator;
  if (const std::string *string = asString()) {
    printQuotedString(*string, text);
  } else if (const bool *truth = as<bool>()) {
    text += *truth ? "True" : "False";
  } else if (const int64_t *integer = as<int64_t>()) {
    text += std::to_string(*integer);
  } else if (const double *number = as<double>()) {
    text += printFloat(*number);
  } else if (isNone()) {
    text += "None";
  } else if (isUndefined()) {
    text += "Undefined";
  } else if (const List *list = asList()) {
    bool isTuple = list->kind == ListKind::Tuple;
    text += isTuple ? '(' : '[';
    for (const Value &element : list->elements) {
      text += separator;
      element.printQuoted(text);
      separator = ", ";
    }
    if (isTuple && list->elements.size() == 1)
      text += ',';
    text += isTuple ? ')' : ']';
  } else if (const Dict *dict = asDict()) {
    text += '{';
    for (const auto &[key, value] : dict->members) {
      text += separator;
      printQuotedString(key, text);
      text += ": ";
      value.printQuoted(text);
      separator = ", ";
    }
    text += '}';
  } else {
    text += "<" + std::string(typeName()) + ">";
  }
}

/// The line end and indentation before an element at `level`, or nothing on one line.
static void breakLine(std::string &text, int indent, int level) {
  if (indent >= 0)
    text += "\n" + std::string(static_cast<size_t>(indent) * static_cast<size_t>(level), ' ');
}

void Value::printJSON(std::string &text, int indent, int level) const {
  if (text.size() > maxValueSize)
    return;
  std::string_view separator = "", next = indent < 0 ? ", " : ",";
  if (const std::string *string = asString()) {
    printJSONString(*string, text);
  } else if (const bool *truth = as<bool>()) {
    text += *truth ? "true" : "false";
  } else if (const double *number = as<double>(); number && !std::isfinite(*number)) {
    text += std::isnan(*number) ? "NaN" : *number < 0 ? "-Infinity" : "Infinity";
  } else if (const List *list = asList(); list && !list->elements.empty()) {
    text += '[';
    for (const Value &element : list->elements) {
      text += separator;
      breakLine(text, indent, level + 1);
      element.printJSON(text, indent, level + 1);
      separator = next;
    }
    breakLine(text, indent, level);
    text += ']';
  } else if (const Dict *dict = asDict(); dict && !dict->members.empty()) {
    text += '{';
    for (const auto &[key, value] : dict->members) {
      text += separator;
      breakLine(text, indent, level + 1);
      printJSONString(key, text);
      text += ": ";
      value.printJSON(text, indent, level + 1);
      separator = next;
    }
    breakLine(text, indent, level);
    text += '}';
  } else if (isNumber() || asList() || asDict()) {
    printQuoted(text);
  } else {
    text += "null";
  }
}

} // namespace llmir::chat
