// Value: what an expression of a chat template evaluates to, with Python's rules for truth,
// equality and printing. Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_CHATTEMPLATE_VALUE_H
#define LLMIR_LIB_MODELFILES_CHATTEMPLATE_VALUE_H

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace llmir::chat {

struct Statement;
class Value;

/// No list or dictionary is nested deeper; code that walks one may recurse.
inline constexpr int maxValueDepth = 100;
/// No string, list or output becomes longer (bytes, elements).
inline constexpr size_t maxValueSize = size_t(1) << 24;

/// How deep a value is nested and how many values it has in all, counting shared ones each time; so
/// that what walks a value has a bound.
struct Extent {
  int depth = 0;
  size_t weight = 1;
};

/// A name that has no value; its name is for messages.
struct Undefined {
  std::string name;
};
struct None {};
/// A tuple is a list that prints in round brackets and equals no list.
enum class ListKind { List, Tuple };
/// Immutable; shared by copies.
struct List {
  std::vector<Value> elements;
  Extent extent;
  ListKind kind = ListKind::List;
};
/// Keeps the order of insertion; keys are strings.
struct Dict {
  std::vector<std::pair<std::string, Value>> members;
  Extent extent;

  const Value *find(std::string_view key) const;
};
/// What `namespace()` makes: the one thing that can be changed.
struct Namespace {
  std::map<std::string, Value, std::less<>> members;
};
/// The `loop` variable: the state of the innermost `for`.
struct Loop {
  std::shared_ptr<const List> items;
  size_t index = 0;
};
/// A macro of the template, or (`macro` null) a function of ours by name.
struct Callable {
  std::string name;
  const Statement *macro;
};

class Value {
public:
  using Storage = std::variant<Undefined, None, bool, int64_t, double, std::string,
                               std::shared_ptr<const List>, std::shared_ptr<const Dict>,
                               std::shared_ptr<Namespace>, std::shared_ptr<Loop>, Callable>;

  Value() = default;
  Value(Storage storage) : storage_(std::move(storage)) {}
  static Value string(std::string text) { return Value(Storage(std::move(text))); }
  static Value integer(int64_t number) { return Value(Storage(number)); }
  static Value boolean(bool truth) { return Value(Storage(truth)); }
  static Value none() { return Value(Storage(None())); }
  static Value undefined(std::string name) { return Value(Storage(Undefined{std::move(name)})); }
  /// An Undefined that says so when the value would be nested too deeply or be too large.
  static Value list(std::vector<Value> elements, ListKind kind = ListKind::List);
  static Value dict(std::vector<std::pair<std::string, Value>> members);
  static Value fromJSON(const nlohmann::ordered_json &json, int depth = 0);

  template <typename T> const T *as() const { return std::get_if<T>(&storage_); }
  const std::string *asString() const { return as<std::string>(); }
  const List *asList() const;
  const Dict *asDict() const;
  bool isUndefined() const { return as<Undefined>() != nullptr; }
  bool isNone() const { return as<None>() != nullptr; }
  /// A bool, an int or a float.
  bool isNumber() const { return as<bool>() || as<int64_t>() || as<double>(); }
  /// The number of isNumber(), as a double.
  double toDouble() const;
  /// An int or a bool; false for others.
  bool toInteger(int64_t &number) const;

  Extent extent() const;
  bool isTrue() const;
  /// Python's ==.
  bool equals(const Value &other) const;
  /// "string", "a list" and so on, for messages.
  std::string_view typeName() const;
  /// Appends what printing the value shows (Python's str). Stops beyond maxValueSize.
  void print(std::string &text) const;
  std::string toString() const;
  /// Appends Python's repr: strings in quotes.
  void printQuoted(std::string &text) const;
  /// Appends JSON as Python's json.dumps writes it; `indent` below 0 means one line.
  void printJSON(std::string &text, int indent, int level = 0) const;

private:
  Storage storage_;
};

} // namespace llmir::chat

#endif // LLMIR_LIB_MODELFILES_CHATTEMPLATE_VALUE_H
