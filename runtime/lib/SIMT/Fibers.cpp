// Switching stacks: see Fibers.h.

#include "Fibers.h"

#include <sys/mman.h>

#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LLMIR_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define LLMIR_ASAN 1
#endif
#ifdef LLMIR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace llmir::simt {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

namespace {
/// Tells AddressSanitizer, where there is one, that the stack changes.
void announceSwitch([[maybe_unused]] void **shadow, [[maybe_unused]] const void *stack,
                    [[maybe_unused]] size_t bytes) {
#ifdef LLMIR_ASAN
  __sanitizer_start_switch_fiber(shadow, stack, bytes);
#endif
}
void finishSwitch([[maybe_unused]] void *shadow, [[maybe_unused]] const void **stack,
                  [[maybe_unused]] size_t *bytes) {
#ifdef LLMIR_ASAN
  __sanitizer_finish_switch_fiber(shadow, stack, bytes);
#endif
}
} // namespace

void StackRelease::operator()(std::byte *stacks) const { ::munmap(stacks, bytes); }

Fibers::Fibers(size_t count) : fibers_(count) {
  size_t bytes = count * kStackBytes;
  void *stacks = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stacks == MAP_FAILED)
    throw std::bad_alloc();
  stacks_ = std::unique_ptr<std::byte, StackRelease>(static_cast<std::byte *>(stacks),
                                                     StackRelease{bytes});
}

void Fibers::start(size_t index) {
  fibers_[index].inside = make_fcontext(stackOf(index) + kStackBytes, kStackBytes, &Fibers::run);
}

void Fibers::run(transfer_t from) {
  auto &fibers = *static_cast<Fibers *>(from.data);
  finishSwitch(nullptr, &fibers.callerStack_, &fibers.callerStackBytes_);
  size_t index = fibers.starting_;
  fibers.fibers_[index].outside = from.fctx;
  fibers.body(index);
  // The end: nobody resumes this fiber again.
  announceSwitch(nullptr, fibers.callerStack_, fibers.callerStackBytes_);
  jump_fcontext(fibers.fibers_[index].outside, nullptr);
}

void Fibers::resume(size_t index) {
  Fiber &fiber = fibers_[index];
  starting_ = index;
  void *shadow = nullptr;
  announceSwitch(&shadow, stackOf(index), kStackBytes);
  transfer_t back = jump_fcontext(fiber.inside, this);
  finishSwitch(shadow, nullptr, nullptr);
  fiber.inside = back.fctx;
}

void Fibers::suspend(size_t index) {
  Fiber &fiber = fibers_[index];
  void *shadow = nullptr;
  announceSwitch(&shadow, callerStack_, callerStackBytes_);
  transfer_t back = jump_fcontext(fiber.outside, nullptr);
  finishSwitch(shadow, &callerStack_, &callerStackBytes_);
  fiber.outside = back.fctx;
}

} // namespace llmir::simt
