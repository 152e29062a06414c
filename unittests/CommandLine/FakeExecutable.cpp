// The executable form of the fake language model: what the compiler's `--emit=exe` links, before
// its sections are appended.

#include "llmir/CommandLine/Main.h"

#include "../Engine/FakeLanguage.h"

int main(int argc, char **argv) {
  return llmir::runModelExecutable(argc, argv, &llmir_model_step, llmir_model_abi_version);
}
