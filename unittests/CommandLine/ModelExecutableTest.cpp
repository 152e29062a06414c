// The executable form of a model: one program that runs without a model's path, and how it and its
// output behave towards a reader that goes away.

#include "CommandLineFixture.h"

#include <cstdio>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

using namespace llmir;
using namespace llmir::testing;
using ::testing::HasSubstr;

namespace {
class ModelExecutableTest : public ::testing::Test {
protected:
  ModelExecutableTest() { chmod(program_.path().c_str(), 0755); }

  /// The exit code and output of a shell's command line, in which `$M` is the program.
  static CommandResult shell(const std::string &program, const std::string &line) {
    CommandResult result;
    std::FILE *pipe = popen(("M=" + program + "; { " + line + "; } 2>&1").c_str(), "r");
    char buffer[4096];
    for (size_t length = 0; (length = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
      result.output.append(buffer, length);
    result.exitCode = WEXITSTATUS(pclose(pipe));
    return result;
  }
  CommandResult shell(const std::string &line) const { return shell(program_.path(), line); }

  TemporaryFile program_{
      appendSections(readFile(LLMIR_FAKE_EXECUTABLE),
                     {{".llmir.manifest", formatManifest(makeFakeLanguageManifest())},
                      {".llmir.tokenizer", makeFakeMetadata()},
                      {".llmir.weights", std::string(64, 'w')}})};
};
} // namespace

TEST_F(ModelExecutableTest, RunsItsOwnModel) {
  CommandResult result = shell("$M --tokens 7,8,9 -n 6 --print-tokens --ignore-eos");
  EXPECT_EQ(result.exitCode, 0);
  EXPECT_EQ(result.output, joinIds(fakeContinuation({7, 8, 9}, 6)) + "\n");
}

TEST_F(ModelExecutableTest, HasTheSameHelpAndErrors) {
  CommandResult help = shell("$M --help");
  EXPECT_EQ(help.exitCode, 0);
  EXPECT_THAT(help.output, HasSubstr("--print-tokens"));
  EXPECT_THAT(help.output, Not(HasSubstr("MODEL")));
  EXPECT_EQ(shell("$M --frobnicate").exitCode, 2);
  CommandResult error = shell("$M --tokens 999");
  EXPECT_EQ(error.exitCode, 1);
  EXPECT_THAT(error.output, HasSubstr("token ids from 0 to 263, but got 999"));
}

TEST_F(ModelExecutableTest, AReaderThatGoesAwayEndsItQuietly) {
  CommandResult result =
      shell("{ sleep 0.3; $M --tokens 7 -n 40 --ignore-eos --echo; echo \"code $?\" >&2; } | true");
  EXPECT_EQ(result.output, "code 0\n");
}

TEST_F(ModelExecutableTest, AnInterruptEndsItCleanly) {
  CommandResult result =
      shell("sleep 2 | timeout --preserve-status -s INT 1 $M --prompt-file - -n 4");
  EXPECT_EQ(result.exitCode, 130);
  EXPECT_EQ(result.output, "");
}
