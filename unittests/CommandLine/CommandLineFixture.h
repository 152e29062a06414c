// A compiled model around the fake language model, with the tests' small vocabulary, and calls of
// the command line in this process.

#ifndef LLMIR_UNITTESTS_COMMANDLINE_COMMANDLINEFIXTURE_H
#define LLMIR_UNITTESTS_COMMANDLINE_COMMANDLINEFIXTURE_H

#include "llmir/CommandLine/Main.h"

#include "../Engine/FakeArtifact.h"
#include "../Engine/FakeLanguageModel.h"
#include "../ModelFiles/TestVocabulary.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace llmir::testing {

/// A template of the usual form: role and content between marks, then the assistant's.
inline constexpr const char *fakeChatTemplate =
    "{% for message in messages %}{{ '[' + message['role'] + ']' + message['content'] }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}";

/// The bytes of a GGUF file without tensors with the small vocabulary and a chat template.
inline std::string makeFakeMetadata() {
  std::vector<uint8_t> bytes;
  makeTokenizer([&](GGUFBuilder &builder) {
    builder.string("tokenizer.chat_template", fakeChatTemplate);
    builder.string("general.name", "Fake language");
    bytes = builder.build();
  });
  return {bytes.begin(), bytes.end()};
}

inline Manifest makeFakeLanguageManifest() {
  Manifest manifest = makeManifest(64);
  StepProgram program = fakeProgram();
  manifest.name = "Fake language";
  manifest.vocabularySize = program.vocabularySize;
  manifest.maxSequenceLength = program.maxSequenceLength;
  manifest.workspace = program.workspace;
  manifest.caches = program.caches;
  return manifest;
}

/// The artifact's file content; `library` is the path of the fake language's module.
inline std::string makeFakeLanguageArtifact(const std::string &library) {
  return appendSections(readFile(library),
                        {{".llmir.manifest", formatManifest(makeFakeLanguageManifest())},
                         {".llmir.tokenizer", makeFakeMetadata()},
                         {".llmir.weights", std::string(64, 'w')}});
}

struct CommandResult {
  int exitCode = 0;
  std::string output;
  std::string errors;
};

/// `llmir` with these arguments, in this process.
inline CommandResult runCommand(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "llmir");
  std::vector<char *> argv;
  for (std::string &argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  CommandResult result;
  result.exitCode = runLlmir(static_cast<int>(argv.size()) - 1, argv.data());
  std::fflush(stdout);
  std::fflush(stderr);
  result.output = ::testing::internal::GetCapturedStdout();
  result.errors = ::testing::internal::GetCapturedStderr();
  return result;
}

/// Ids as the command line takes and prints them.
inline std::string joinIds(const std::vector<int32_t> &ids) {
  std::string text;
  for (int32_t id : ids)
    text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_COMMANDLINE_COMMANDLINEFIXTURE_H
