// Runs the statements of a chat template.

#include "Interpreter.h"

namespace llmir::chat {

StatusOr<std::string> Interpreter::run(const Program &program) {
  execute(program.statements);
  if (hasFailed())
    return status_;
  return std::move(output_);
}

Value Interpreter::fail(int line, const std::string &message, StatusCode code) {
  if (!hasFailed())
    status_ = Status(code, "line " + std::to_string(line) + ": " + message);
  return Value();
}

void Interpreter::print(std::string_view text, int line) {
  if (output_.size() + text.size() > maxValueSize)
    fail(line, "expected an output of at most " + std::to_string(maxValueSize) + " bytes",
         StatusCode::ResourceExhausted);
  else
    output_ += text;
}

/// What the statements print, as a string.
std::string Interpreter::capture(const std::vector<Statement> &statements) {
  std::string outer = std::exchange(output_, {});
  execute(statements);
  return std::exchange(output_, std::move(outer));
}

Interpreter::Flow Interpreter::execute(const std::vector<Statement> &statements) {
  if (++depth_ > maxDepth && !statements.empty())
    fail(statements.front().line, "expected at most " + std::to_string(maxDepth) +
                                      " statements and expressions in progress");
  Flow flow = Flow::Next;
  for (const Statement &statement : statements) {
    if (hasFailed() || flow != Flow::Next)
      break;
    flow = execute(statement);
  }
  --depth_;
  return flow;
}

Interpreter::Flow Interpreter::execute(const Statement &statement) {
  switch (statement.kind) {
  case StatementKind::Text:
    print(statement.text, statement.line);
    return Flow::Next;
  case StatementKind::Output: {
    Value value = evaluate(*statement.expressions[0]);
    if (!hasFailed())
      print(value.toString(), statement.line);
    return Flow::Next;
  }
  case StatementKind::If:
    return executeIf(statement);
  case StatementKind::For:
    executeFor(statement);
    return Flow::Next;
  case StatementKind::Set:
    assign(statement, evaluate(*statement.expressions[0]));
    return Flow::Next;
  case StatementKind::SetBlock: {
    Value text = Value::string(capture(statement.blocks[0]));
    scopes_.back().insert_or_assign(statement.targets[0], std::move(text));
    return Flow::Next;
  }
  case StatementKind::Macro:
    scopes_.back().insert_or_assign(statement.text,
                                    Value(Value::Storage(Callable{statement.text, &statement})));
    return Flow::Next;
  case StatementKind::Block:
    return execute(statement.blocks[0]);
  case StatementKind::Break:
    return Flow::Break;
  case StatementKind::Continue:
    return Flow::Continue;
  }
  return Flow::Next;
}

Interpreter::Flow Interpreter::executeIf(const Statement &statement) {
  for (size_t i = 0; i < statement.expressions.size(); ++i) {
    bool holds = evaluate(*statement.expressions[i]).isTrue();
    if (hasFailed())
      return Flow::Next;
    if (holds)
      return execute(statement.blocks[i]);
  }
  bool hasElse = statement.blocks.size() > statement.expressions.size();
  return hasElse ? execute(statement.blocks.back()) : Flow::Next;
}

/// Gives the targets of a statement their values in `scope`: one target the whole, several one
/// element each.
bool Interpreter::bind(const Statement &statement, const Value &value, Scope &scope) {
  if (statement.targets.size() == 1) {
    scope.insert_or_assign(statement.targets[0], value);
    return true;
  }
  const List *list = value.asList();
  if (!list || list->elements.size() != statement.targets.size()) {
    fail(statement.line, "expected " + std::to_string(statement.targets.size()) +
                             " values to assign, but got " + std::string(value.typeName()));
    return false;
  }
  for (size_t i = 0; i < list->elements.size(); ++i)
    scope.insert_or_assign(statement.targets[i], list->elements[i]);
  return true;
}

void Interpreter::assign(const Statement &statement, const Value &value) {
  if (hasFailed())
    return;
  if (statement.text.empty()) {
    bind(statement, value, scopes_.back());
    return;
  }
  Value target = lookUpName(statement.targets[0]);
  const auto *space = target.as<std::shared_ptr<Namespace>>();
  if (!space || value.as<std::shared_ptr<Namespace>>()) {
    fail(statement.line, "expected a value for an attribute of a namespace, but '" +
                             statement.targets[0] + "' is " + std::string(target.typeName()));
    return;
  }
  (*space)->members.insert_or_assign(statement.text, value);
}

/// The items for which the loop's condition holds.
std::vector<Value> Interpreter::filterItems(const Statement &statement, std::vector<Value> items) {
  if (!statement.expressions[1])
    return items;
  std::vector<Value> kept;
  for (Value &item : items) {
    scopes_.emplace_back();
    bool isKept =
        bind(statement, item, scopes_.back()) && evaluate(*statement.expressions[1]).isTrue();
    scopes_.pop_back();
    if (hasFailed())
      break;
    if (isKept)
      kept.push_back(std::move(item));
  }
  return kept;
}

void Interpreter::executeFor(const Statement &statement) {
  Value iterated = evaluate(*statement.expressions[0]);
  Call call = {"for", {}, {}, {}, {}};
  std::vector<Value> items = call.elementsOf(iterated);
  finish(*statement.expressions[0], call, {});
  items = filterItems(statement, std::move(items));
  if (hasFailed())
    return;
  if (items.empty()) {
    if (statement.blocks.size() > 1)
      execute(statement.blocks[1]);
    return;
  }
  auto loop = std::make_shared<Loop>();
  loop->items = std::make_shared<const List>(List{std::move(items), {}});
  Flow flow = Flow::Next;
  for (; loop->index < loop->items->elements.size() && flow != Flow::Break && !hasFailed();
       ++loop->index) {
    ++steps_;
    Scope scope;
    if (!bind(statement, loop->items->elements[loop->index], scope))
      return;
    scope.insert_or_assign("loop", Value(Value::Storage(loop)));
    scopes_.push_back(std::move(scope));
    flow = execute(statement.blocks[0]);
    scopes_.pop_back();
  }
}

} // namespace llmir::chat
