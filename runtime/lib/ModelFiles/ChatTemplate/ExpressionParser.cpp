// Parses the expressions of a chat template; the order of the functions is Jinja's precedence.

#include "Parser.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>

namespace llmir::chat {

/// Trees may be this high; long sums and chains of attributes count too.
static constexpr int maxDepth = 400;

ExpressionPtr Parser::make(ExpressionKind kind, std::string name) const {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->line = current().line;
  expression->name = std::move(name);
  return expression;
}

ExpressionPtr Parser::make(ExpressionKind kind, std::string name, ExpressionPtr first,
                           ExpressionPtr second) {
  ExpressionPtr expression = make(kind, std::move(name));
  add(*expression, std::move(first));
  if (second)
    add(*expression, std::move(second));
  return expression;
}

void Parser::add(Expression &parent, ExpressionPtr operand) {
  if (operand)
    parent.depth = std::max(parent.depth, operand->depth + 1);
  if (parent.depth > maxDepth)
    fail("expected an expression of at most " + std::to_string(maxDepth) + " levels");
  parent.operands.push_back(std::move(operand));
}

/// An expression, or several with commas between them, which make a tuple.
ExpressionPtr Parser::parseTuple() {
  ExpressionPtr first = parseExpression();
  if (!isOperator(","))
    return first;
  ExpressionPtr tuple = make(ExpressionKind::List, "tuple", std::move(first));
  while (accept(TokenKind::Operator, ",")) {
    bool isEnd = current().kind == TokenKind::CloseBlock ||
                 current().kind == TokenKind::CloseOutput || isOperator(")");
    if (isEnd)
      break;
    add(*tuple, parseExpression());
  }
  return tuple;
}

ExpressionPtr Parser::parseExpression() {
  Nesting nesting(*this);
  ExpressionPtr expression = parseOr();
  while (accept(TokenKind::Name, "if")) {
    ExpressionPtr condition = parseOr();
    expression = make(ExpressionKind::Conditional, "", std::move(expression), std::move(condition));
    if (accept(TokenKind::Name, "else"))
      add(*expression, parseExpression());
  }
  return expression;
}

ExpressionPtr Parser::parseOr() {
  ExpressionPtr left = parseAnd();
  while (accept(TokenKind::Name, "or")) {
    ExpressionPtr right = parseAnd();
    left = make(ExpressionKind::Binary, "or", std::move(left), std::move(right));
  }
  return left;
}

ExpressionPtr Parser::parseAnd() {
  ExpressionPtr left = parseNot();
  while (accept(TokenKind::Name, "and")) {
    ExpressionPtr right = parseNot();
    left = make(ExpressionKind::Binary, "and", std::move(left), std::move(right));
  }
  return left;
}

ExpressionPtr Parser::parseNot() {
  if (!isName("not") || (next().kind == TokenKind::Name && next().text == "in"))
    return parseComparison();
  Nesting nesting(*this);
  advance();
  return make(ExpressionKind::Unary, "not", parseNot());
}

ExpressionPtr Parser::parseComparison() {
  static constexpr std::string_view comparisons[] = {"==", "!=", "<", "<=", ">", ">="};
  ExpressionPtr first = parseSum();
  ExpressionPtr comparison;
  while (true) {
    std::string name;
    if (current().kind == TokenKind::Operator &&
        std::find(std::begin(comparisons), std::end(comparisons), current().text) !=
            std::end(comparisons))
      name = current().text;
    else if (isName("in"))
      name = "in";
    else if (isName("not") && next().kind == TokenKind::Name && next().text == "in")
      name = "not in";
    if (name.empty())
      return comparison ? std::move(comparison) : std::move(first);
    advance();
    if (name == "not in")
      advance();
    if (!comparison)
      comparison = make(ExpressionKind::Comparison, "", std::move(first));
    comparison->operators.push_back(name);
    add(*comparison, parseSum());
  }
}

ExpressionPtr Parser::parseSum() {
  ExpressionPtr left = parseConcatenation();
  while (isOperator("+") || isOperator("-")) {
    std::string name = current().text;
    advance();
    ExpressionPtr right = parseConcatenation();
    left = make(ExpressionKind::Binary, name, std::move(left), std::move(right));
  }
  return left;
}

ExpressionPtr Parser::parseConcatenation() {
  ExpressionPtr left = parseProduct();
  while (accept(TokenKind::Operator, "~")) {
    ExpressionPtr right = parseProduct();
    left = make(ExpressionKind::Binary, "~", std::move(left), std::move(right));
  }
  return left;
}

ExpressionPtr Parser::parseProduct() {
  ExpressionPtr left = parsePower();
  while (isOperator("*") || isOperator("/") || isOperator("//") || isOperator("%")) {
    std::string name = current().text;
    advance();
    ExpressionPtr right = parsePower();
    left = make(ExpressionKind::Binary, name, std::move(left), std::move(right));
  }
  return left;
}

ExpressionPtr Parser::parsePower() {
  ExpressionPtr left = parseUnary(true);
  while (accept(TokenKind::Operator, "**")) {
    ExpressionPtr right = parseUnary(true);
    left = make(ExpressionKind::Binary, "**", std::move(left), std::move(right));
  }
  return left;
}

ExpressionPtr Parser::parseUnary(bool takesFilters) {
  Nesting nesting(*this);
  ExpressionPtr operand;
  if (isOperator("-") || isOperator("+")) {
    std::string name = current().text;
    advance();
    operand = make(ExpressionKind::Unary, name, parseUnary(false));
  } else {
    operand = parsePostfix(parsePrimary());
  }
  return takesFilters ? parseFilters(std::move(operand)) : std::move(operand);
}

ExpressionPtr Parser::parseNumber() {
  ExpressionPtr literal = make(ExpressionKind::Literal);
  const std::string &digits = current().text;
  if (current().kind == TokenKind::Float) {
    literal->value = Value(Value::Storage(std::strtod(digits.c_str(), nullptr)));
  } else {
    int64_t number = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc())
      fail("expected an integer below 2^63, but got " + digits.substr(0, 40));
    literal->value = Value::integer(number);
  }
  advance();
  return literal;
}

ExpressionPtr Parser::parsePrimary() {
  ExpressionPtr literal = make(ExpressionKind::Literal);
  switch (current().kind) {
  case TokenKind::Name: {
    std::string name = expectName("a name");
    if (name == "true" || name == "True" || name == "false" || name == "False")
      literal->value = Value::boolean(name == "true" || name == "True");
    else if (name == "none" || name == "None")
      literal->value = Value::none();
    else
      return make(ExpressionKind::Name, name);
    return literal;
  }
  case TokenKind::String: {
    std::string text;
    for (; current().kind == TokenKind::String; advance())
      text += current().text;
    literal->value = Value::string(std::move(text));
    return literal;
  }
  case TokenKind::Integer:
  case TokenKind::Float:
    return parseNumber();
  default:
    break;
  }
  if (isOperator("(") || isOperator("[") || isOperator("{"))
    return parseBracketed();
  fail("expected an expression, but got " + describeCurrent());
  return literal;
}

ExpressionPtr Parser::parseBracketed() {
  if (accept(TokenKind::Operator, "(")) {
    ExpressionPtr inner = isOperator(")") ? make(ExpressionKind::List, "tuple") : parseTuple();
    expect(TokenKind::Operator, ")");
    return inner;
  }
  bool isDict = isOperator("{");
  std::string_view end = isDict ? "}" : "]";
  ExpressionPtr literal = make(isDict ? ExpressionKind::Dict : ExpressionKind::List);
  advance();
  while (!isOperator(end) && current().kind != TokenKind::End) {
    add(*literal, parseExpression());
    if (isDict) {
      expect(TokenKind::Operator, ":");
      add(*literal, parseExpression());
    }
    if (!accept(TokenKind::Operator, ","))
      break;
  }
  expect(TokenKind::Operator, end);
  return literal;
}

ExpressionPtr Parser::parsePostfix(ExpressionPtr operand) {
  while (true) {
    if (accept(TokenKind::Operator, ".")) {
      if (current().kind == TokenKind::Integer)
        operand = make(ExpressionKind::Subscript, "", std::move(operand), parseNumber());
      else
        operand = make(ExpressionKind::Attribute, expectName("an attribute"), std::move(operand));
    } else if (accept(TokenKind::Operator, "[")) {
      operand = parseSubscript(std::move(operand));
    } else if (isOperator("(")) {
      operand = make(ExpressionKind::Call, "", std::move(operand));
      parseArguments(*operand);
    } else {
      return operand;
    }
  }
}

ExpressionPtr Parser::parseSubscript(ExpressionPtr operand) {
  ExpressionPtr parts[3];
  bool isSlice = false;
  for (int i = 0; i < 3; ++i) {
    if (!isOperator(":") && !isOperator("]"))
      parts[i] = parseExpression();
    if (i == 2 || !accept(TokenKind::Operator, ":"))
      break;
    isSlice = true;
  }
  expect(TokenKind::Operator, "]");
  if (!isSlice) {
    if (!parts[0])
      fail("expected an index between '[' and ']'");
    return make(ExpressionKind::Subscript, "", std::move(operand), std::move(parts[0]));
  }
  ExpressionPtr slice = make(ExpressionKind::Slice, "", std::move(operand));
  for (ExpressionPtr &part : parts)
    add(*slice, std::move(part));
  return slice;
}

/// Arguments in brackets, the keyword ones into `named`.
void Parser::parseArguments(Expression &call) {
  expect(TokenKind::Operator, "(");
  while (!isOperator(")") && current().kind != TokenKind::End) {
    if (isOperator("*") || isOperator("**"))
      fail("expected an argument, but got " + describeCurrent(), StatusCode::Unimplemented);
    if (current().kind == TokenKind::Name && next().kind == TokenKind::Operator &&
        next().text == "=") {
      std::string name = expectName("a keyword");
      advance();
      ExpressionPtr argument = parseExpression();
      call.depth = std::max(call.depth, argument->depth + 1);
      call.named.emplace_back(std::move(name), std::move(argument));
    } else {
      add(call, parseExpression());
    }
    if (!accept(TokenKind::Operator, ","))
      break;
  }
  expect(TokenKind::Operator, ")");
}

ExpressionPtr Parser::parseFilters(ExpressionPtr operand) {
  while (true) {
    if (accept(TokenKind::Operator, "|")) {
      std::string name = expectName("a filter");
      operand = make(ExpressionKind::Filter, name, std::move(operand));
      if (isOperator("("))
        parseArguments(*operand);
    } else if (accept(TokenKind::Name, "is")) {
      operand = parseTest(std::move(operand));
    } else if (isOperator("(")) {
      operand = make(ExpressionKind::Call, "", std::move(operand));
      parseArguments(*operand);
    } else {
      return operand;
    }
  }
}

/// Whether the token after a test's name is its argument: `divisibleby 3`, but not `defined and`.
bool Parser::startsTestArgument() const {
  static constexpr std::string_view keywords[] = {"else", "or", "and", "if", "is", "in", "not"};
  switch (current().kind) {
  case TokenKind::Name:
    return std::find(std::begin(keywords), std::end(keywords), current().text) ==
           std::end(keywords);
  case TokenKind::String:
  case TokenKind::Integer:
  case TokenKind::Float:
    return true;
  default:
    return isOperator("[") || isOperator("{");
  }
}

ExpressionPtr Parser::parseTest(ExpressionPtr operand) {
  bool isNegated = accept(TokenKind::Name, "not");
  std::string name = expectName("a test");
  ExpressionPtr test = make(ExpressionKind::Test, name, std::move(operand));
  if (isOperator("("))
    parseArguments(*test);
  else if (startsTestArgument())
    add(*test, parsePostfix(parsePrimary()));
  return isNegated ? make(ExpressionKind::Unary, "not", std::move(test)) : std::move(test);
}

} // namespace llmir::chat
