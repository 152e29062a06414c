// `llmir run` on a compiled fake model, from arguments to output: text, ids, batches, logits,
// figures, and one clear error for each thing that does not work.

#include "CommandLineFixture.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace llmir;
using namespace llmir::testing;
using ::testing::HasSubstr;
using ::testing::StartsWith;

namespace {
class RunCommandTest : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    model_ = new TemporaryFile(makeFakeLanguageArtifact(LLMIR_FAKE_LANGUAGE));
  }
  static void TearDownTestSuite() {
    delete model_;
    model_ = nullptr;
  }

  static CommandResult run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"run", model_->path()});
    return runCommand(std::move(arguments));
  }
  /// The result of a run that must succeed.
  static std::string outputOf(std::vector<std::string> arguments) {
    CommandResult result = run(std::move(arguments));
    EXPECT_EQ(result.exitCode, 0) << result.errors;
    return result.output;
  }
  static void expectError(const CommandResult &result, int exitCode, const char *message) {
    EXPECT_EQ(result.exitCode, exitCode);
    EXPECT_THAT(result.errors, StartsWith("llmir: error: "));
    EXPECT_THAT(result.errors, HasSubstr(message));
    EXPECT_EQ(result.output, "");
  }

  static TemporaryFile *model_;
};
TemporaryFile *RunCommandTest::model_ = nullptr;
} // namespace

TEST_F(RunCommandTest, PrintsIdsOfTokenPrompts) {
  std::string expected = joinIds(fakeContinuation({7, 8, 9}, 6)) + "\n";
  EXPECT_EQ(outputOf({"--tokens", "7,8,9", "-n", "6", "--print-tokens", "--ignore-eos"}), expected);
  EXPECT_EQ(outputOf({"--tokens", "7, 8 9", "-n", "6", "--print-tokens", "--ignore-eos",
                      "--threads", "1", "--chunk", "1"}),
            expected);
}

TEST_F(RunCommandTest, PrintsTextAndEchoesThePrompt) {
  Tokenizer tokenizer = makeTokenizer();
  std::vector<int32_t> prompt = tokenizer.encode("ab");
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (int32_t token : fakeContinuation(prompt, 20))
    text += decoder.add(token);
  text += decoder.flush();
  EXPECT_EQ(outputOf({"-p", "ab", "-n", "20", "--ignore-eos"}), text + "\n");
  EXPECT_EQ(outputOf({"-p", "ab", "-n", "20", "--ignore-eos", "--echo"}), "ab" + text + "\n");
  TemporaryFile file("ab");
  EXPECT_EQ(outputOf({"--prompt-file", file.path(), "-n", "20", "--ignore-eos"}), text + "\n");
}

TEST_F(RunCommandTest, BatchesComeOutInOrderAndAsAlone) {
  TemporaryFile ids("5,6\n7\n8,9,10\n11,12\n");
  std::string expected;
  for (const std::vector<int32_t> &prompt :
       std::vector<std::vector<int32_t>>{{5, 6}, {7}, {8, 9, 10}, {11, 12}})
    expected += joinIds(fakeContinuation(prompt, 9)) + "\n";
  std::vector<std::string> arguments = {"--tokens", "@" + ids.path(), "-n",
                                        "9",        "--print-tokens", "--ignore-eos"};
  EXPECT_EQ(outputOf(arguments), expected);
  arguments.insert(arguments.end(), {"--chunk", "2"});
  EXPECT_EQ(outputOf(arguments), expected);
  // Three blocks hold one request at a time.
  arguments.insert(arguments.end(), {"--kv-blocks", "3"});
  EXPECT_EQ(outputOf(arguments), expected);
}

TEST_F(RunCommandTest, TextBatchesAreInSections) {
  TemporaryFile prompts("ab\nabc\r\n");
  std::string output = outputOf({"--batch", prompts.path(), "-n", "3", "--echo", "--ignore-eos"});
  EXPECT_THAT(output, StartsWith("=== prompt 1 ===\nab"));
  EXPECT_THAT(output, HasSubstr("\n\n=== prompt 2 ===\nabc"));
}

TEST_F(RunCommandTest, ChatGoesThroughTheTemplate) {
  Tokenizer tokenizer = makeTokenizer();
  auto expected = [&](const char *text) {
    return joinIds(fakeContinuation(tokenizer.encode(text), 5)) + "\n";
  };
  std::vector<std::string> arguments = {"--chat",         "-p",          "hi", "-n", "5",
                                        "--print-tokens", "--ignore-eos"};
  EXPECT_EQ(outputOf(arguments), expected("[user]hi[assistant]"));
  arguments.insert(arguments.end(), {"--system", "be brief"});
  EXPECT_EQ(outputOf(arguments), expected("[system]be brief[user]hi[assistant]"));
}

TEST_F(RunCommandTest, WritesLogitsOfAllPromptsInOrder) {
  TemporaryFile ids("5,6,7\n8\n");
  TemporaryFile matrix("");
  outputOf({"--tokens", "@" + ids.path(), "-n", "3", "--print-tokens", "--ignore-eos", "--logits",
            matrix.path()});
  std::string content = readFile(matrix.path());
  constexpr size_t headerSize = 128;
  size_t numRows = (3 + 2) + (1 + 2);
  ASSERT_EQ(content.size(), headerSize + numRows * FAKE_VOCABULARY * sizeof(float));
  EXPECT_THAT(content.substr(10, headerSize - 10), HasSubstr("'shape': (8, 264)"));
  size_t row = 0;
  for (std::vector<int32_t> prompt : {std::vector<int32_t>{5, 6, 7}, {8}}) {
    std::vector<int32_t> tokens = prompt;
    for (int32_t token : fakeContinuation(prompt, 2))
      tokens.push_back(token);
    for (size_t length = 1; length <= tokens.size(); ++length, ++row) {
      std::vector<float> expected = fakeLogits(std::span(tokens).first(length));
      EXPECT_EQ(std::memcmp(content.data() + headerSize + row * FAKE_VOCABULARY * sizeof(float),
                            expected.data(), expected.size() * sizeof(float)),
                0)
          << "row " << row;
    }
  }
}

TEST_F(RunCommandTest, StatsAreOneLineOfJSON) {
  CommandResult result =
      run({"--tokens", "7,8,9", "-n", "6", "--ignore-eos", "--stats=json", "--threads", "2"});
  ASSERT_EQ(result.exitCode, 0) << result.errors;
  ASSERT_EQ(std::count(result.errors.begin(), result.errors.end(), '\n'), 1);
  auto stats = nlohmann::json::parse(result.errors);
  EXPECT_EQ(stats["prompt_tokens"], 3);
  EXPECT_EQ(stats["decode_tokens"], 5);
  EXPECT_EQ(stats["generated_tokens"], 6);
  EXPECT_EQ(stats["threads"], 2);
  EXPECT_EQ(stats["weight_bytes_per_token"], 64);
  // Contexts of 4 to 8 tokens at 16 bytes each.
  EXPECT_DOUBLE_EQ(stats["bytes_per_token"], 64 + 6 * 16);
  for (const char *key : {"prompt_seconds", "decode_seconds", "load_seconds", "read_bandwidth_gbs",
                          "bandwidth_share", "first_token_seconds"})
    EXPECT_GT(stats[key], 0.0) << key;
  EXPECT_TRUE(stats["seed"].is_null());
  CommandResult text = run({"--tokens", "7", "-n", "6", "--ignore-eos", "--stats"});
  EXPECT_THAT(text.errors, HasSubstr("tokens/s"));
}

TEST_F(RunCommandTest, SeedsReproduceSampling) {
  std::vector<std::string> arguments = {
      "--tokens", "7,8", "-n",      "20",  "--temperature",  "1",
      "--top-k",  "50",  "--top-p", "0.9", "--print-tokens", "--ignore-eos",
      "--seed"};
  auto withSeed = [&](const char *seed) {
    std::vector<std::string> all = arguments;
    all.push_back(seed);
    return outputOf(all);
  };
  EXPECT_EQ(withSeed("1"), withSeed("1"));
  EXPECT_NE(withSeed("1"), withSeed("2"));
}

TEST_F(RunCommandTest, PerplexityIsThatOfTheLogits) {
  std::string text =
      "the quick brown fox jumps over the lazy dog and does it again, and again, till it "
      "is tired";
  std::vector<int32_t> tokens = makeTokenizer().encode(text);
  ASSERT_GT(tokens.size(), 64u);
  auto expected = [&](size_t window, size_t count) {
    double sum = 0.0;
    size_t numPredicted = 0;
    for (size_t first = 0; first < count; first += window)
      for (size_t i = first + 1; i < std::min(first + window, count); ++i, ++numPredicted)
        sum += logProbability(fakeLogits(std::span(tokens).subspan(first, i - first)), tokens[i]);
    return std::exp(-sum / static_cast<double>(numPredicted));
  };
  TemporaryFile file(text);
  CommandResult result = run({"--perplexity", file.path(), "--stats=json"});
  ASSERT_EQ(result.exitCode, 0) << result.errors;
  auto stats = nlohmann::json::parse(result.errors);
  EXPECT_NEAR(stats["perplexity"], expected(64, tokens.size()), 1e-6);
  EXPECT_EQ(stats["tokens"], tokens.size() - 2);
  EXPECT_THAT(result.output, StartsWith("perplexity "));
  result = run({"--perplexity", file.path(), "--stats=json", "--context", "10", "--max-tokens",
                "25", "--chunk", "3"});
  ASSERT_EQ(result.exitCode, 0) << result.errors;
  EXPECT_NEAR(nlohmann::json::parse(result.errors)["perplexity"], expected(10, 25), 1e-6);
}

TEST_F(RunCommandTest, EachMistakeIsOneClearError) {
  std::string tooLong = "1";
  for (int i = 0; i < 64; ++i)
    tooLong += ",1";
  expectError(run({"--tokens", tooLong}), 1, "the prompt has 65 tokens, but the context holds 64");
  expectError(run({"--tokens", "1,2,3", "--context", "2"}), 1,
              "the prompt has 3 tokens, but the context holds 2");
  expectError(run({"-p", ""}), 1, "the prompt is empty");
  expectError(run({"--tokens", ""}), 1, "the prompt is empty");
  expectError(run({"--tokens", "1,x"}), 1, "but got 'x'");
  expectError(run({"--tokens", "264"}), 1, "token ids from 0 to 263, but got 264");
  expectError(run({"--prompt-file", "/no/such/file"}), 1, "/no/such/file");
  expectError(run({"--tokens", "1,2,3,4,5", "-n", "20", "--kv-blocks", "2"}), 1,
              "need 6 blocks, but the pool has 2");
  expectError(run({"--tokens", "1", "--logits", "/no/such/folder/rows.npy"}), 1,
              "/no/such/folder/rows.npy");
  expectError(run({"--tokens", "1", "--context", "65"}), 1, "at most the model's 64 tokens");
  TemporaryFile batch("ab\n\nab\n");
  expectError(run({"--batch", batch.path()}), 1, "line 2 is empty");
  expectError(runCommand({"run", "/no/such/model", "-p", "x"}), 1,
              "llmir: error: /no/such/model: cannot open");
  expectError(run({"-p", "x", "--frobnicate"}), 2, "--frobnicate");
  expectError(run({"-p", "x", "-n", "many"}), 2, "many");
  expectError(run({}), 2, "expected a prompt");
  expectError(run({"-p", "x", "--tokens", "1"}), 2, "expected one of --prompt and --tokens");
  expectError(run({"-p", "x", "--temperature", "-1"}), 2, "temperature");
  expectError(run({"-p", "x", "--chunk", "513"}), 2, "--chunk to be from 1 to 512");
}

TEST_F(RunCommandTest, AFailedRunLeavesNoLogits) {
  std::string path = model_->path() + ".npy";
  expectError(run({"--tokens", "1,264", "--logits", path}), 1, "264");
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(MainTest, HelpTeachesAndVersionSays) {
  CommandResult help = runCommand({"--help"});
  EXPECT_EQ(help.exitCode, 0);
  EXPECT_THAT(help.output, HasSubstr("llmir compile SmolLM2-135M.gguf -o smollm2.llmir"));
  CommandResult runHelp = runCommand({"run", "--help"});
  EXPECT_EQ(runHelp.exitCode, 0);
  for (const char *option : {"--temperature", "--top-k", "--top-p", "--seed", "--ignore-eos",
                             "--chat", "--threads", "--prompt-file", "--tokens", "--chunk",
                             "--batch", "--logits", "--perplexity", "--stats", "Examples:"})
    EXPECT_THAT(runHelp.output, HasSubstr(option));
  EXPECT_THAT(runCommand({"--version"}).output, StartsWith("LLMIR "));
  EXPECT_EQ(runCommand({}).exitCode, 2);
  EXPECT_EQ(runCommand({"frobnicate"}).exitCode, 2);
}
