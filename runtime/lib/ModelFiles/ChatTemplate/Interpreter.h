// Interpreter: runs a chat template's syntax tree. Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_CHATTEMPLATE_INTERPRETER_H
#define LLMIR_LIB_MODELFILES_CHATTEMPLATE_INTERPRETER_H

#include "Call.h"
#include "Syntax.h"

#include <map>

namespace llmir::chat {

/// Variables by name.
using Scope = std::map<std::string, Value, std::less<>>;

/// One run of a program. The first error is kept in status_, with the line; everything then returns
/// quickly. Depth, steps and output are bounded.
class Interpreter {
public:
  explicit Interpreter(Scope variables) { scopes_.push_back(std::move(variables)); }
  StatusOr<std::string> run(const Program &program);

private:
  /// Statements and expressions in progress at once, macros included.
  static constexpr int maxDepth = 1000;
  enum class Flow { Next, Break, Continue };

  Flow execute(const std::vector<Statement> &statements);
  Flow execute(const Statement &statement);
  Flow executeIf(const Statement &statement);
  void executeFor(const Statement &statement);
  std::vector<Value> filterItems(const Statement &statement, std::vector<Value> items);
  void assign(const Statement &statement, const Value &value);
  bool bind(const Statement &statement, const Value &value, Scope &scope);
  std::string capture(const std::vector<Statement> &statements);
  void print(std::string_view text, int line);

  Value evaluate(const Expression &expression);
  Value evaluateDict(const Expression &expression);
  Value evaluateBinary(const Expression &expression);
  Value evaluateUnary(const Expression &expression);
  Value evaluateComparison(const Expression &expression);
  Value evaluateSlice(const Expression &expression);
  Value evaluateCall(const Expression &expression);
  Value evaluateNode(const Expression &expression);
  Value callMacro(const Expression &expression, const Callable &callable);
  Value callLoop(const Expression &expression, const Loop &loop);
  Value lookUpName(const std::string &name) const;
  Call makeCall(const Expression &expression, std::string name, Value self);
  /// The result of a library's work, or an error at the expression's line.
  Value finish(const Expression &expression, const Call &call, Value result);
  Value fail(int line, const std::string &message, StatusCode code = StatusCode::InvalidArgument);
  bool hasFailed() const { return !status_.isOk(); }

  std::vector<Scope> scopes_; // The first holds the template's own variables.
  std::string output_;
  Status status_;
  int depth_ = 0;
  int64_t steps_ = 0;
};

} // namespace llmir::chat

#endif // LLMIR_LIB_MODELFILES_CHATTEMPLATE_INTERPRETER_H
