// A stand-in for `--emit=exe`: a program with the code linked in that opens its own sections. Exits
// with 0 and prints the model's name and the sum of its weights' bytes, or prints why not.

#include "llmir/Engine/LoadedModel.h"

#include <cstdio>
#include <numeric>

extern "C" {
extern const uint32_t llmir_model_abi_version;
void llmir_model_step(const llmir_step_args *args, int32_t worker, int32_t num_workers);
}

int main() {
  const llmir_linked_step steps[] = {{LLMIR_MODEL_STEP_SYMBOL, llmir_model_step}};
  auto model = llmir::LoadedModel::openSelf(steps, llmir_model_abi_version);
  if (!model) {
    std::printf("%s\n", model.status().message().c_str());
    return 1;
  }
  const uint8_t *weights = (*model)->weights();
  long sum = std::accumulate(weights, weights + (*model)->manifest().weightBytes, 0L);
  std::printf("%s: %ld\n", (*model)->manifest().name.c_str(), sum);
  return 0;
}
