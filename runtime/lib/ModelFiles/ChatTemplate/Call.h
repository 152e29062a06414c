// Call: an application of a filter, test, method or function of a chat template to its arguments,
// and the libraries of them. Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_CHATTEMPLATE_CALL_H
#define LLMIR_LIB_MODELFILES_CHATTEMPLATE_CALL_H

#include "Value.h"

#include "llmir/Base/Status.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llmir::chat {

/// What is applied, to what. The first failure stays in `status`.
struct Call {
  std::string name;
  Value self; ///< What a filter, test or method is applied to.
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
  Status status;

  /// The argument by position or keyword; null when it was not given.
  const Value *argument(size_t index, std::string_view keyword) const;
  /// The same as a string or an integer; an argument of another type fails the call.
  std::string stringArgument(size_t index, std::string_view keyword, std::string_view fallback);
  int64_t integerArgument(size_t index, std::string_view keyword, int64_t fallback);
  /// The elements of a list, the keys of a dictionary, the characters of a string, nothing of an
  /// undefined value; other types fail the call.
  std::vector<Value> elementsOf(const Value &value);
  /// `value.name` as Jinja finds it: a member of a dictionary, or by index.
  Value attributeOf(const Value &value, const Value &name);
  /// A string that must not be longer than maxValueSize.
  Value result(std::string text);

  Value fail(const std::string &message, StatusCode code = StatusCode::InvalidArgument);
};

/// Each evaluates one call; a name that is not in the library fails with Unimplemented.
Value applyFilter(Call &call);
Value applyTest(Call &call);
Value callMethod(Call &call);
Value callFunction(Call &call);

/// Whether callFunction has the name.
bool isFunction(std::string_view name);

} // namespace llmir::chat

#endif // LLMIR_LIB_MODELFILES_CHATTEMPLATE_CALL_H
