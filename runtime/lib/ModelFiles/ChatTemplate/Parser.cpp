// Parses the statements of a chat template.

#include "Parser.h"

#include <algorithm>

namespace llmir::chat {

/// Blocks and brackets may be nested this deeply.
static constexpr int maxNesting = 100;

Parser::Nesting::Nesting(Parser &parser) : parser_(parser) {
  if (++parser_.nesting_ > maxNesting)
    parser_.fail("expected at most " + std::to_string(maxNesting) + " levels of nesting");
}

void Parser::fail(const std::string &message, StatusCode code) {
  if (status_.isOk())
    status_ = Status(code, "line " + std::to_string(current().line) + ": " + message);
  position_ = tokens_.size() - 1;
}

std::string Parser::describeCurrent() const {
  switch (current().kind) {
  case TokenKind::End:
    return "the end of the template";
  case TokenKind::Text:
  case TokenKind::OpenOutput:
    return "text";
  case TokenKind::OpenBlock:
    return "'{%'";
  case TokenKind::CloseOutput:
    return "'}}'";
  case TokenKind::CloseBlock:
    return "'%}'";
  case TokenKind::String:
    return "a string";
  default:
    return "'" + current().text.substr(0, 40) + "'";
  }
}

bool Parser::accept(TokenKind kind, std::string_view text) {
  if (!is(kind, text))
    return false;
  advance();
  return true;
}

void Parser::expect(TokenKind kind, std::string_view text) {
  if (!accept(kind, text))
    fail("expected '" + std::string(text) + "', but got " + describeCurrent());
}

std::string Parser::expectName(std::string_view what) {
  std::string name = current().text;
  if (current().kind != TokenKind::Name)
    fail("expected " + std::string(what) + ", but got " + describeCurrent());
  advance();
  return name;
}

void Parser::closeBlock() {
  if (current().kind != TokenKind::CloseBlock)
    fail("expected '%}', but got " + describeCurrent());
  advance();
}

/// Closes the block at `{% end ... %}`, where parseStatements stopped.
void Parser::finishBlock(std::string_view end) {
  if (current().kind != TokenKind::OpenBlock)
    return fail("expected '" + std::string(end) + "', but got " + describeCurrent());
  advance();
  expect(TokenKind::Name, end);
  if (end == "endmacro" && current().kind == TokenKind::Name)
    advance();
  closeBlock();
}

Statement Parser::makeStatement(StatementKind kind) const {
  return Statement{kind, current().line, {}, {}, {}, {}};
}

/// Statements up to a block that begins with one of `ends`, which stays, or to the template's end.
std::vector<Statement> Parser::parseStatements(std::initializer_list<std::string_view> ends) {
  Nesting nesting(*this);
  std::vector<Statement> statements;
  while (current().kind != TokenKind::End) {
    if (current().kind == TokenKind::Text) {
      statements.push_back(makeStatement(StatementKind::Text));
      statements.back().text = current().text;
      advance();
    } else if (current().kind == TokenKind::OpenOutput) {
      statements.push_back(makeStatement(StatementKind::Output));
      advance();
      statements.back().expressions.push_back(parseTuple());
      if (current().kind != TokenKind::CloseOutput)
        fail("expected '}}', but got " + describeCurrent());
      advance();
    } else {
      if (next().kind == TokenKind::Name &&
          std::find(ends.begin(), ends.end(), next().text) != ends.end())
        return statements;
      advance();
      statements.push_back(parseBlock());
    }
  }
  return statements;
}

Statement Parser::parseBlock() {
  std::string name = current().text;
  if (isName("if"))
    return parseIf();
  if (isName("for"))
    return parseFor();
  if (isName("set"))
    return parseSet();
  if (isName("macro"))
    return parseMacro();
  if (isName("break") || isName("continue")) {
    Statement statement =
        makeStatement(name == "break" ? StatementKind::Break : StatementKind::Continue);
    if (numLoops_ == 0)
      fail("expected '" + name + "' within a 'for'");
    advance();
    closeBlock();
    return statement;
  }
  // Marks what a model generates, for training; it prints its content.
  if (isName("generation")) {
    Statement statement = makeStatement(StatementKind::Block);
    advance();
    closeBlock();
    statement.blocks.push_back(parseStatements({"endgeneration"}));
    finishBlock("endgeneration");
    return statement;
  }
  fail("expected a statement if, for, set, macro, break, continue or generation, but got " +
           describeCurrent(),
       StatusCode::Unimplemented);
  return makeStatement(StatementKind::Block);
}

Statement Parser::parseIf() {
  Statement statement = makeStatement(StatementKind::If);
  do {
    advance();
    statement.expressions.push_back(parseTuple());
    closeBlock();
    statement.blocks.push_back(parseStatements({"elif", "else", "endif"}));
    if (current().kind == TokenKind::OpenBlock && next().text == "elif")
      advance();
  } while (isName("elif"));
  if (current().kind == TokenKind::OpenBlock && next().text == "else") {
    advance();
    advance();
    closeBlock();
    statement.blocks.push_back(parseStatements({"endif"}));
  }
  finishBlock("endif");
  return statement;
}

std::vector<std::string> Parser::parseTargets() {
  std::vector<std::string> targets;
  bool isBracketed = accept(TokenKind::Operator, "(");
  do {
    targets.push_back(expectName("a variable"));
  } while (accept(TokenKind::Operator, ",") && current().kind == TokenKind::Name && !isName("in"));
  if (isBracketed)
    expect(TokenKind::Operator, ")");
  return targets;
}

Statement Parser::parseFor() {
  Statement statement = makeStatement(StatementKind::For);
  advance();
  statement.targets = parseTargets();
  expect(TokenKind::Name, "in");
  // Not a conditional expression: an `if` here filters the items.
  statement.expressions.push_back(parseOr());
  statement.expressions.push_back(accept(TokenKind::Name, "if") ? parseExpression() : nullptr);
  if (isName("recursive"))
    fail("expected a loop without 'recursive', which is not supported", StatusCode::Unimplemented);
  closeBlock();
  ++numLoops_;
  statement.blocks.push_back(parseStatements({"else", "endfor"}));
  --numLoops_;
  if (current().kind == TokenKind::OpenBlock && next().text == "else") {
    advance();
    advance();
    closeBlock();
    statement.blocks.push_back(parseStatements({"endfor"}));
  }
  finishBlock("endfor");
  return statement;
}

Statement Parser::parseSet() {
  Statement statement = makeStatement(StatementKind::Set);
  advance();
  statement.targets = parseTargets();
  if (accept(TokenKind::Operator, "."))
    statement.text = expectName("an attribute");
  if (accept(TokenKind::Operator, "=")) {
    statement.expressions.push_back(parseTuple());
    closeBlock();
    return statement;
  }
  if (statement.targets.size() != 1 || !statement.text.empty())
    fail("expected '=', but got " + describeCurrent());
  statement.kind = StatementKind::SetBlock;
  closeBlock();
  statement.blocks.push_back(parseStatements({"endset"}));
  finishBlock("endset");
  return statement;
}

Statement Parser::parseMacro() {
  Statement statement = makeStatement(StatementKind::Macro);
  advance();
  statement.text = expectName("a macro's name");
  expect(TokenKind::Operator, "(");
  while (current().kind == TokenKind::Name) {
    statement.targets.push_back(expectName("a parameter"));
    statement.expressions.push_back(accept(TokenKind::Operator, "=") ? parseExpression() : nullptr);
    if (!accept(TokenKind::Operator, ","))
      break;
  }
  expect(TokenKind::Operator, ")");
  closeBlock();
  int outerLoops = std::exchange(numLoops_, 0);
  statement.blocks.push_back(parseStatements({"endmacro"}));
  numLoops_ = outerLoops;
  finishBlock("endmacro");
  return statement;
}

StatusOr<Program> Parser::parse() {
  Program program{parseStatements({})};
  if (!status_.isOk())
    return status_;
  return program;
}

} // namespace llmir::chat
