// Once a run is going, its steps allocate nothing: counted by replacing the global allocator.

#include "FakeLanguageModel.h"

#include <atomic>
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>

static std::atomic<int64_t> numAllocations{0};

// Not inlined, so that compilers do not take pairs of new and free for mistakes.
__attribute__((noinline)) static void release(void *memory) { std::free(memory); }

__attribute__((noinline)) static void *allocateCounted(size_t size, size_t alignment) {
  ++numAllocations;
  void *memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (!memory)
    std::abort();
  return memory;
}

void *operator new(size_t size) { return allocateCounted(size, 16); }
void *operator new[](size_t size) { return allocateCounted(size, 16); }
void *operator new(size_t size, std::align_val_t alignment) {
  return allocateCounted(size, static_cast<size_t>(alignment));
}
void operator delete(void *memory) noexcept { release(memory); }
void operator delete[](void *memory) noexcept { release(memory); }
void operator delete(void *memory, size_t) noexcept { release(memory); }
void operator delete[](void *memory, size_t) noexcept { release(memory); }
void operator delete(void *memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void *memory, size_t, std::align_val_t) noexcept { release(memory); }

using namespace llmir;
using namespace llmir::testing;

namespace {
class AllocationListener : public GenerationListener {
public:
  Proceed beforeStep() override {
    int64_t total = numAllocations;
    if (numSteps < 64)
      perStep[numSteps] = total - before_;
    ++numSteps;
    before_ = total;
    return Proceed::Continue;
  }
  int64_t perStep[64] = {};
  size_t numSteps = 0;

private:
  int64_t before_ = 0;
};
} // namespace

TEST(StepAllocationTest, DecodingAllocatesNothing) {
  WorkerTeamOptions teamOptions;
  teamOptions.workers = 2;
  teamOptions.pinning = Pinning::None;
  std::unique_ptr<WorkerTeam> team = *WorkerTeam::create(teamOptions);
  PagedKVCache cache(fakeCacheParameters(), 64);
  PagedKVCache *caches[] = {&cache};
  std::unique_ptr<Generator> generator =
      *Generator::create(fakeProgram(), *team, caches, GeneratorOptions());
  std::vector<GenerationRequest> requests(4);
  for (GenerationRequest &request : requests) {
    request.prompt = {1, 2, 3};
    request.maxNewTokens = 60;
    request.sampling.temperature = 1.0f;
    request.sampling.topP = 0.9f;
  }
  AllocationListener listener;
  ASSERT_TRUE(generator->run(requests, listener).isOk());
  ASSERT_EQ(listener.numSteps, 60u);
  EXPECT_GT(listener.perStep[0], 0);
  // Block tables grow by doubling: the last time when a context passes 32 tokens, in step 31.
  for (size_t step = 33; step < listener.numSteps; ++step)
    EXPECT_EQ(listener.perStep[step], 0) << "step " << step;
}
