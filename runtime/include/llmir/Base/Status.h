// Status and StatusOr<T>: how every fallible call of the runtime reports its outcome. No exception
// crosses a public header; an expected outcome (a full pool, a bad file) is a value.

#ifndef LLMIR_BASE_STATUS_H
#define LLMIR_BASE_STATUS_H

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace llmir {

/// What kind of failure a Status reports; the message has the particulars.
enum class StatusCode {
  Ok,
  InvalidArgument,    ///< The caller passed something that can never work.
  NotFound,           ///< A file, tensor, key or id does not exist.
  DataLoss,           ///< A file is truncated, inconsistent or fails its checksum.
  Unimplemented,      ///< Well formed, but not supported; the message says what is.
  ResourceExhausted,  ///< A pool, a disk or memory is full.
  FailedPrecondition, ///< The object or the host is not in a state for this call.
  Internal            ///< A bug of ours, or an operating-system call that failed.
};

/// The outcome of a call: ok, or a code and a message that has the numbers and says what to do
/// (`block pool exhausted: need 12 blocks, 3 free`). Lower case, no full stop.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {
    assert(code != StatusCode::Ok && "an error needs an error code");
  }

  static Status ok() { return Status(); }
  bool isOk() const { return code_ == StatusCode::Ok; }
  explicit operator bool() const { return isOk(); }
  StatusCode code() const { return code_; }
  const std::string &message() const { return message_; }

  /// The same error with `prefix: ` before its message; ok stays ok.
  Status withContext(std::string_view prefix) const {
    if (isOk())
      return *this;
    return Status(code_, std::string(prefix) + ": " + message_);
  }

private:
  StatusCode code_ = StatusCode::Ok;
  std::string message_;
};

inline Status invalidArgument(std::string message) {
  return Status(StatusCode::InvalidArgument, std::move(message));
}
inline Status notFound(std::string message) {
  return Status(StatusCode::NotFound, std::move(message));
}
inline Status dataLoss(std::string message) {
  return Status(StatusCode::DataLoss, std::move(message));
}
inline Status unimplemented(std::string message) {
  return Status(StatusCode::Unimplemented, std::move(message));
}
inline Status resourceExhausted(std::string message) {
  return Status(StatusCode::ResourceExhausted, std::move(message));
}
inline Status failedPrecondition(std::string message) {
  return Status(StatusCode::FailedPrecondition, std::move(message));
}
inline Status internalError(std::string message) {
  return Status(StatusCode::Internal, std::move(message));
}

/// A value of type T, or the Status that says why there is none.
template <typename T> class [[nodiscard]] StatusOr {
public:
  StatusOr(T value) : value_(std::move(value)) {}
  StatusOr(Status status) : status_(std::move(status)) {
    assert(!status_.isOk() && "an ok status needs a value");
  }

  bool isOk() const { return value_.has_value(); }
  explicit operator bool() const { return isOk(); }
  const Status &status() const { return status_; }

  T &operator*() & {
    assert(isOk());
    return *value_;
  }
  const T &operator*() const & {
    assert(isOk());
    return *value_;
  }
  T &&operator*() && {
    assert(isOk());
    return *std::move(value_);
  }
  T *operator->() {
    assert(isOk());
    return &*value_;
  }
  const T *operator->() const {
    assert(isOk());
    return &*value_;
  }

private:
  Status status_;
  std::optional<T> value_;
};

} // namespace llmir

/// Returns from the enclosing function when `expression` (a Status) is an error.
#define LLMIR_RETURN_IF_ERROR(expression)                                                          \
  do {                                                                                             \
    if (::llmir::Status llmirStatus = (expression); !llmirStatus.isOk())                           \
      return llmirStatus;                                                                          \
  } while (false)

#endif // LLMIR_BASE_STATUS_H
