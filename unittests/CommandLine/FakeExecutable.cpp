// The executable form of the fake language model: what the compiler's `--emit=exe` links, before
// its sections are appended.

#include "llmir/CommandLine/Main.h"

#include "../Engine/FakeLanguage.h"

int main(int argc, char **argv) {
  const llmir_linked_step steps[] = {{LLMIR_MODEL_STEP_SYMBOL, &llmir_model_step}};
  return llmir::runModelExecutable(argc, argv, steps, llmir_model_abi_version);
}
