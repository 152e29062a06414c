// Parser: builds the syntax tree of a chat template by recursive descent. Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_CHATTEMPLATE_PARSER_H
#define LLMIR_LIB_MODELFILES_CHATTEMPLATE_PARSER_H

#include "Lexer.h"
#include "Syntax.h"

#include <initializer_list>

namespace llmir::chat {

/// Parses tokens that end with an End. The first error is kept in status_ and moves the parser to
/// the End, so that every loop stops; the tree is then incomplete and dropped.
class Parser {
public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  StatusOr<Program> parse();

private:
  // Statements (Parser.cpp).
  std::vector<Statement> parseStatements(std::initializer_list<std::string_view> ends);
  Statement parseBlock();
  Statement parseIf();
  Statement parseFor();
  Statement parseSet();
  Statement parseMacro();
  std::vector<std::string> parseTargets();
  Statement makeStatement(StatementKind kind) const;
  void finishBlock(std::string_view end);
  void closeBlock();

  // Expressions (ExpressionParser.cpp), in order of precedence.
  ExpressionPtr parseTuple();
  ExpressionPtr parseExpression();
  ExpressionPtr parseOr();
  ExpressionPtr parseAnd();
  ExpressionPtr parseNot();
  ExpressionPtr parseComparison();
  ExpressionPtr parseSum();
  ExpressionPtr parseConcatenation();
  ExpressionPtr parseProduct();
  ExpressionPtr parsePower();
  ExpressionPtr parseUnary(bool takesFilters);
  ExpressionPtr parsePrimary();
  ExpressionPtr parseNumber();
  ExpressionPtr parseBracketed();
  ExpressionPtr parsePostfix(ExpressionPtr operand);
  ExpressionPtr parseSubscript(ExpressionPtr operand);
  ExpressionPtr parseFilters(ExpressionPtr operand);
  ExpressionPtr parseTest(ExpressionPtr operand);
  void parseArguments(Expression &call);
  bool startsTestArgument() const;

  ExpressionPtr make(ExpressionKind kind, std::string name = "") const;
  ExpressionPtr make(ExpressionKind kind, std::string name, ExpressionPtr first,
                     ExpressionPtr second = nullptr);
  void add(Expression &parent, ExpressionPtr operand);

  const Token &current() const { return tokens_[position_]; }
  const Token &next() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  bool is(TokenKind kind, std::string_view text) const {
    return current().kind == kind && current().text == text;
  }
  bool isOperator(std::string_view text) const { return is(TokenKind::Operator, text); }
  bool isName(std::string_view text) const { return is(TokenKind::Name, text); }
  void advance() { position_ += position_ + 1 < tokens_.size(); }
  bool accept(TokenKind kind, std::string_view text);
  void expect(TokenKind kind, std::string_view text);
  std::string expectName(std::string_view what);
  void fail(const std::string &message, StatusCode code = StatusCode::InvalidArgument);
  std::string describeCurrent() const;

  /// Counts the open calls of recursive functions.
  class Nesting {
  public:
    explicit Nesting(Parser &parser);
    ~Nesting() { --parser_.nesting_; }

  private:
    Parser &parser_;
  };

  std::vector<Token> tokens_;
  size_t position_ = 0;
  int nesting_ = 0;
  int numLoops_ = 0;
  Status status_;
};

} // namespace llmir::chat

#endif // LLMIR_LIB_MODELFILES_CHATTEMPLATE_PARSER_H
