// llmir: compile, run and inspect language models. Links the runtime only.

#include "llmir/CommandLine/Main.h"

int main(int argc, char **argv) { return llmir::runLlmir(argc, argv); }
