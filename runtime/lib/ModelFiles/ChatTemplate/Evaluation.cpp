// Evaluates the expressions of a chat template.

#include "Interpreter.h"
#include "Operators.h"

#include <algorithm>

namespace llmir::chat {

static constexpr int64_t maxSteps = 20'000'000;

Value Interpreter::lookUpName(const std::string &name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
    if (auto found = scope->find(name); found != scope->end())
      return found->second;
  if (isFunction(name))
    return Value(Value::Storage(Callable{name, nullptr}));
  return Value::undefined(name);
}

Value Interpreter::finish(const Expression &expression, const Call &call, Value result) {
  if (!call.status.isOk())
    return fail(expression.line, call.status.message(), call.status.code());
  return result;
}

Value Interpreter::evaluate(const Expression &expression) {
  if (hasFailed())
    return Value();
  if (++depth_ > maxDepth)
    fail(expression.line, "expected at most " + std::to_string(maxDepth) +
                              " statements and expressions in progress");
  if (++steps_ > maxSteps)
    fail(expression.line,
         "expected the template to end within " + std::to_string(maxSteps) + " steps",
         StatusCode::ResourceExhausted);
  Value value = hasFailed() ? Value() : evaluateNode(expression);
  --depth_;
  return value;
}

Value Interpreter::evaluateNode(const Expression &expression) {
  switch (expression.kind) {
  case ExpressionKind::Literal:
    return expression.value;
  case ExpressionKind::Name:
    return lookUpName(expression.name);
  case ExpressionKind::List: {
    std::vector<Value> elements;
    for (const ExpressionPtr &operand : expression.operands)
      elements.push_back(evaluate(*operand));
    return Value::list(std::move(elements),
                       expression.name.empty() ? ListKind::List : ListKind::Tuple);
  }
  case ExpressionKind::Dict:
    return evaluateDict(expression);
  case ExpressionKind::Unary:
    return evaluateUnary(expression);
  case ExpressionKind::Binary:
    return evaluateBinary(expression);
  case ExpressionKind::Comparison:
    return evaluateComparison(expression);
  case ExpressionKind::Conditional:
    if (evaluate(*expression.operands[1]).isTrue())
      return evaluate(*expression.operands[0]);
    return expression.operands.size() > 2 ? evaluate(*expression.operands[2])
                                          : Value::undefined("else");
  case ExpressionKind::Attribute:
  case ExpressionKind::Subscript: {
    Value value = evaluate(*expression.operands[0]);
    Value index = expression.kind == ExpressionKind::Attribute ? Value::string(expression.name)
                                                               : evaluate(*expression.operands[1]);
    Call call;
    Value found = lookUp(call, value, index);
    return finish(expression, call, std::move(found));
  }
  case ExpressionKind::Slice:
    return evaluateSlice(expression);
  case ExpressionKind::Call:
    return evaluateCall(expression);
  case ExpressionKind::Filter:
  case ExpressionKind::Test: {
    Call call = makeCall(expression, expression.name, evaluate(*expression.operands[0]));
    if (hasFailed())
      return Value();
    Value result = expression.kind == ExpressionKind::Filter ? applyFilter(call) : applyTest(call);
    return finish(expression, call, std::move(result));
  }
  }
  return Value();
}

Value Interpreter::evaluateDict(const Expression &expression) {
  std::vector<std::pair<std::string, Value>> members;
  for (size_t i = 0; i + 1 < expression.operands.size(); i += 2) {
    Value key = evaluate(*expression.operands[i]);
    if (!key.asString() && !hasFailed())
      return fail(expression.line, "expected a string as key of a dictionary, but got " +
                                       std::string(key.typeName()));
    Value value = evaluate(*expression.operands[i + 1]);
    if (hasFailed())
      return Value();
    auto same = std::find_if(members.begin(), members.end(),
                             [&](const auto &member) { return member.first == *key.asString(); });
    if (same != members.end())
      same->second = std::move(value);
    else
      members.emplace_back(*key.asString(), std::move(value));
  }
  return Value::dict(std::move(members));
}

Value Interpreter::evaluateUnary(const Expression &expression) {
  Value operand = evaluate(*expression.operands[0]);
  if (expression.name == "not")
    return Value::boolean(!operand.isTrue());
  Call call;
  Value result = combine(call, expression.name, Value::integer(0), operand);
  return finish(expression, call, std::move(result));
}

Value Interpreter::evaluateBinary(const Expression &expression) {
  Value left = evaluate(*expression.operands[0]);
  if (expression.name == "and")
    return left.isTrue() ? evaluate(*expression.operands[1]) : left;
  if (expression.name == "or")
    return left.isTrue() ? left : evaluate(*expression.operands[1]);
  Value right = evaluate(*expression.operands[1]);
  if (hasFailed())
    return Value();
  Call call;
  Value result = combine(call, expression.name, left, right);
  return finish(expression, call, std::move(result));
}

Value Interpreter::evaluateComparison(const Expression &expression) {
  Value left = evaluate(*expression.operands[0]);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    Value right = evaluate(*expression.operands[i + 1]);
    if (hasFailed())
      return Value();
    Call call = {"in", {}, {}, {}, {}};
    Value holds = finish(expression, call, compare(call, expression.operators[i], left, right));
    if (!call.status.isOk())
      return fail(expression.line, call.status.message(), call.status.code());
    if (!holds.isTrue())
      return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluateSlice(const Expression &expression) {
  Value sliced = evaluate(*expression.operands[0]);
  Value bounds[3];
  const Value *given[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    if (!expression.operands[i + 1])
      continue;
    bounds[i] = evaluate(*expression.operands[i + 1]);
    given[i] = &bounds[i];
  }
  if (hasFailed())
    return Value();
  Call call = {"slice", {}, {}, {}, {}};
  Value result = slice(call, sliced, given[0], given[1], given[2]);
  return finish(expression, call, std::move(result));
}

/// The arguments of a call, filter or test, evaluated; operand 0 is what they are applied to.
Call Interpreter::makeCall(const Expression &expression, std::string name, Value self) {
  Call call = {std::move(name), std::move(self), {}, {}, {}};
  for (size_t i = 1; i < expression.operands.size(); ++i)
    call.positional.push_back(evaluate(*expression.operands[i]));
  for (const auto &[keyword, argument] : expression.named)
    call.named.emplace_back(keyword, evaluate(*argument));
  return call;
}

Value Interpreter::evaluateCall(const Expression &expression) {
  const Expression &callee = *expression.operands[0];
  if (callee.kind == ExpressionKind::Attribute) {
    Value object = evaluate(*callee.operands[0]);
    if (const auto *loop = object.as<std::shared_ptr<Loop>>(); loop && callee.name == "cycle")
      return callLoop(expression, **loop);
    Call call = makeCall(expression, callee.name, std::move(object));
    if (hasFailed())
      return Value();
    Value result = callMethod(call);
    return finish(expression, call, std::move(result));
  }
  Value function = evaluate(callee);
  if (hasFailed())
    return Value();
  const Callable *callable = function.as<Callable>();
  if (!callable)
    return fail(expression.line,
                function.isUndefined()
                    ? "expected a function, but '" + function.as<Undefined>()->name +
                          "' is undefined"
                    : "expected a function, but got " + std::string(function.typeName()));
  if (callable->macro)
    return callMacro(expression, *callable);
  Call call = makeCall(expression, callable->name, {});
  if (hasFailed())
    return Value();
  Value result = callFunction(call);
  return finish(expression, call, std::move(result));
}

/// loop.cycle(a, b, …): the arguments in turn.
Value Interpreter::callLoop(const Expression &expression, const Loop &loop) {
  size_t count = expression.operands.size() - 1;
  if (count == 0)
    return fail(expression.line, "'cycle': expected at least one argument");
  return evaluate(*expression.operands[1 + loop.index % count]);
}

/// Runs a macro's body with its parameters over the template's own variables.
Value Interpreter::callMacro(const Expression &expression, const Callable &callable) {
  const Statement &macro = *callable.macro;
  Call call = makeCall(expression, callable.name, {});
  if (hasFailed())
    return Value();
  if (call.positional.size() > macro.targets.size())
    return fail(expression.line, "'" + callable.name + "': expected at most " +
                                     std::to_string(macro.targets.size()) + " arguments, but got " +
                                     std::to_string(call.positional.size()));
  std::vector<Scope> callers(std::make_move_iterator(scopes_.begin() + 1),
                             std::make_move_iterator(scopes_.end()));
  scopes_.resize(1);
  scopes_.emplace_back();
  for (size_t i = 0; i < macro.targets.size(); ++i) {
    const Value *argument = call.argument(i, macro.targets[i]);
    Value value = argument               ? *argument
                  : macro.expressions[i] ? evaluate(*macro.expressions[i])
                                         : Value::undefined(macro.targets[i]);
    scopes_.back().insert_or_assign(macro.targets[i], std::move(value));
  }
  Value text = Value::string(capture(macro.blocks[0]));
  scopes_.resize(1);
  scopes_.insert(scopes_.end(), std::make_move_iterator(callers.begin()),
                 std::make_move_iterator(callers.end()));
  return text;
}

} // namespace llmir::chat
