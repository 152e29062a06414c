// The operators of chat templates on values, with Python's meaning. Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_CHATTEMPLATE_OPERATORS_H
#define LLMIR_LIB_MODELFILES_CHATTEMPLATE_OPERATORS_H

#include "Call.h"

namespace llmir::chat {

/// ==, !=, <, <=, >, >=, in, not in. A pair that has no order fails the call.
Value compare(Call &call, std::string_view operation, const Value &left, const Value &right);

/// +, -, *, /, //, %, **, ~. Overflow, division by zero, and types that do not go together fail.
Value combine(Call &call, std::string_view operation, const Value &left, const Value &right);

/// left[start:stop:step] of a list or a string; null bounds are as in Python.
Value slice(Call &call, const Value &sliced, const Value *start, const Value *stop,
            const Value *step);

/// value[index] or value.name; Undefined when there is none, a failure on an undefined value.
Value lookUp(Call &call, const Value &value, const Value &index);

} // namespace llmir::chat

#endif // LLMIR_LIB_MODELFILES_CHATTEMPLATE_OPERATORS_H
