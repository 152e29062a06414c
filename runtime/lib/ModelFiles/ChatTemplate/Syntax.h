// The syntax tree of a chat template. Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_CHATTEMPLATE_SYNTAX_H
#define LLMIR_LIB_MODELFILES_CHATTEMPLATE_SYNTAX_H

#include "Value.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace llmir::chat {

enum class ExpressionKind {
  Literal,     ///< `value`.
  Name,        ///< Variable `name`.
  List,        ///< `operands`; a tuple when `name` says so.
  Dict,        ///< Keys and values alternate in `operands`.
  Unary,       ///< Operator `name` (-, +, not) on operand 0.
  Binary,      ///< Operator `name` on operands 0 and 1; `and`, `or`, `in`, `not in` included.
  Comparison,  ///< Operand 0, then for each of `operators` one more, each pair compared.
  Conditional, ///< Operand 0 if operand 1 else operand 2 (may be absent).
  Attribute,   ///< Operand 0 . `name`.
  Subscript,   ///< Operand 0 [operand 1].
  Slice,       ///< Operand 0 [operand 1 : operand 2 : operand 3], each of which may be null.
  Call,        ///< Operand 0 is called with the others and `named`.
  Filter,      ///< Operand 0 | `name`, the others are arguments.
  Test         ///< Operand 0 is `name`, the others are arguments; negated ones are under a `not`.
};

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

/// A node. `depth` is the height of the tree below it, which the parser bounds.
struct Expression {
  ExpressionKind kind;
  int line;
  int depth = 1;
  std::string name;
  Value value;
  std::vector<ExpressionPtr> operands;
  std::vector<std::string> operators;
  std::vector<std::pair<std::string, ExpressionPtr>> named; ///< Keyword arguments.
};

enum class StatementKind {
  Text,     ///< `text`.
  Output,   ///< Prints expression 0.
  If,       ///< Expression i guards block i; a block more is `else`.
  For,      ///< `targets` over expression 0, of which expression 1 (or null) keeps some; block 1 is
            ///< else.
  Set,      ///< `targets` from expression 0; `text` names the attribute of a namespace.
  SetBlock, ///< Target 0 becomes the output of block 0.
  Macro, ///< `text` with parameters `targets`, defaults in expressions (null: none), body block 0.
  Block, ///< Block 0 as it stands.
  Break,
  Continue
};

struct Statement {
  StatementKind kind;
  int line;
  std::string text;
  std::vector<std::string> targets;
  std::vector<ExpressionPtr> expressions;
  std::vector<std::vector<Statement>> blocks;
};

/// A whole template.
struct Program {
  std::vector<Statement> statements;
};

} // namespace llmir::chat

#endif // LLMIR_LIB_MODELFILES_CHATTEMPLATE_SYNTAX_H
