// Fibers: functions with stacks of their own that take turns on one thread, over Boost.Context. A
// fiber that is given up is forgotten, not unwound: kernels own nothing.

#ifndef LLMIR_RUNTIME_LIB_SIMT_FIBERS_H
#define LLMIR_RUNTIME_LIB_SIMT_FIBERS_H

#include <boost/context/detail/fcontext.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace llmir::simt {

/// Gives back memory that was mapped for stacks.
struct StackRelease {
  size_t bytes = 0;
  void operator()(std::byte *stacks) const;
};

/// A set of fibers that one scheduler resumes; not for use by several threads.
class Fibers {
public:
  explicit Fibers(size_t count);

  /// Makes fiber `index` run `body(index)` when it is resumed next, from the start.
  void start(size_t index);
  std::function<void(size_t index)> body;

  /// Runs fiber `index` until it suspends or ends. Called from outside the fibers.
  void resume(size_t index);
  /// Goes back to the caller of resume(). Called from inside fiber `index`.
  void suspend(size_t index);

private:
  static constexpr size_t kStackBytes = 128 * 1024;
  struct Fiber {
    boost::context::detail::fcontext_t inside = nullptr;  ///< Where it goes on.
    boost::context::detail::fcontext_t outside = nullptr; ///< Where its caller goes on.
  };
  static void run(boost::context::detail::transfer_t from);
  std::byte *stackOf(size_t index) const { return stacks_.get() + index * kStackBytes; }

  std::vector<Fiber> fibers_;
  std::unique_ptr<std::byte, StackRelease> stacks_;
  size_t starting_ = 0;
  const void *callerStack_ = nullptr; ///< AddressSanitizer's.
  size_t callerStackBytes_ = 0;
};

} // namespace llmir::simt

#endif // LLMIR_RUNTIME_LIB_SIMT_FIBERS_H
