// `llmir inspect` on a checkpoint and on a compiled model: tables, JSON, tokens, chats.

#include "CommandLineFixture.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace llmir;
using namespace llmir::testing;
using ::testing::HasSubstr;

namespace {
class InspectCommandTest : public ::testing::Test {
protected:
  static std::string checkpoint() {
    std::vector<uint8_t> bytes;
    makeTokenizer([&](GGUFBuilder &builder) {
      GGUFBuilder extended = builder;
      extended.string("tokenizer.chat_template", fakeChatTemplate)
          .scalar<int32_t>("test.negative", GGUFValueType::Int32, -3)
          .tensor("weight", 0, {4, 2}, std::vector<uint8_t>(32));
      bytes = extended.build();
    });
    return {bytes.begin(), bytes.end()};
  }
  static CommandResult inspect(const TemporaryFile &file, std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"inspect", file.path()});
    return runCommand(std::move(options));
  }

  TemporaryFile checkpoint_{checkpoint()};
  TemporaryFile artifact_{makeFakeLanguageArtifact(LLMIR_FAKE_LANGUAGE)};
};
} // namespace

TEST_F(InspectCommandTest, ShowsACheckpoint) {
  CommandResult text = inspect(checkpoint_);
  EXPECT_EQ(text.exitCode, 0) << text.errors;
  for (const char *expected : {"tokenizer.ggml.model", "\"gpt2\"", "264 elements", "-3", "weight",
                               "f32", "2x4", "32 bytes", "totals"})
    EXPECT_THAT(text.output, HasSubstr(expected));
  auto json = nlohmann::json::parse(inspect(checkpoint_, {"--json"}).output);
  EXPECT_EQ(json["metadata"]["test.negative"], -3);
  EXPECT_EQ(json["metadata"]["tokenizer.ggml.tokens"]["count"], 264);
  EXPECT_EQ(json["tensors"][0]["shape"], nlohmann::json({2, 4}));
  EXPECT_EQ(json["totals"]["f32"]["elements"], 8);
}

TEST_F(InspectCommandTest, ShowsACompiledModel) {
  CommandResult text = inspect(artifact_);
  EXPECT_EQ(text.exitCode, 0) << text.errors;
  for (const char *expected : {"Fake language", "vocabulary size", "264", ".llmir.weights",
                               "option activations", "KV cache", "blocks of 4 tokens"})
    EXPECT_THAT(text.output, HasSubstr(expected));
  auto json = nlohmann::json::parse(inspect(artifact_, {"--json"}).output);
  EXPECT_EQ(json["manifest"]["vocabulary_size"], 264);
  EXPECT_EQ(json["sections"][0]["name"], ".llmir.manifest");
}

TEST_F(InspectCommandTest, TokenizesRecords) {
  TemporaryFile records(std::string("ab\0\0a\nb<|end|>\0", 15));
  Tokenizer tokenizer = makeTokenizer();
  auto line = [&](std::string_view text, EncodeOptions options) {
    std::string ids = joinIds(tokenizer.encode(text, options));
    std::replace(ids.begin(), ids.end(), ',', ' ');
    return ids + "\n";
  };
  for (const TemporaryFile *file : {&checkpoint_, &artifact_}) {
    EncodeOptions options{AddBOS::No, ParseSpecial::No};
    EXPECT_EQ(inspect(*file, {"--tokenize", records.path()}).output,
              line("ab", options) + "\n" + line("a\nb<|end|>", options));
    options = {AddBOS::Yes, ParseSpecial::Yes};
    EXPECT_EQ(inspect(*file, {"--tokenize", records.path(), "--add-bos", "--parse-special"}).output,
              line("ab", options) + line("", options) + line("a\nb<|end|>", options));
  }
}

TEST_F(InspectCommandTest, RendersChats) {
  TemporaryFile messages(
      R"([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])");
  EXPECT_EQ(inspect(artifact_, {"--render-chat", messages.path()}).output,
            "[system]s[user]u[assistant]");
  TemporaryFile noArray("{}");
  EXPECT_THAT(inspect(artifact_, {"--render-chat", noArray.path()}).errors,
              HasSubstr("expected a JSON array of messages"));
}

TEST_F(InspectCommandTest, RefusesOtherFiles) {
  TemporaryFile other("something else");
  TemporaryFile empty("");
  for (const TemporaryFile *file : {&other, &empty}) {
    CommandResult result = inspect(*file);
    EXPECT_EQ(result.exitCode, 1);
    EXPECT_THAT(result.errors, HasSubstr("expected a GGUF checkpoint or a compiled model"));
  }
  EXPECT_EQ(inspect(checkpoint_, {"--add-bos"}).exitCode, 1);
  EXPECT_EQ(runCommand({"inspect", "/no/such/file"}).exitCode, 1);
  EXPECT_EQ(runCommand({"inspect"}).exitCode, 2);
}
