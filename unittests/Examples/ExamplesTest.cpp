// Every program of examples/ runs to its end and prints something. One test a program, from the
// list that CMake writes: a line is a name, a blank and a shell command.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

struct Example {
  std::string name, command;
};

std::vector<Example> readExamples() {
  std::ifstream file(LLMIR_EXAMPLE_COMMANDS);
  std::vector<Example> examples;
  for (std::string line; std::getline(file, line);)
    if (size_t blank = line.find(' '); blank != std::string::npos)
      examples.push_back({line.substr(0, blank), line.substr(blank + 1)});
  return examples;
}

class ExamplesTest : public testing::TestWithParam<Example> {
protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "llmir-example-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    if (!folder_.empty())
      std::filesystem::remove_all(folder_);
  }

  std::filesystem::path folder_;
};

} // namespace

TEST_P(ExamplesTest, Runs) {
  std::string command = "cd '" + folder_.string() + "' && " + GetParam().command + " 2>&1";
  FILE *pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string output;
  char buffer[4096];
  while (size_t count = std::fread(buffer, 1, sizeof(buffer), pipe))
    output.append(buffer, count);
  EXPECT_EQ(pclose(pipe), 0) << output;
  EXPECT_FALSE(output.empty());
}

INSTANTIATE_TEST_SUITE_P(Examples, ExamplesTest, testing::ValuesIn(readExamples()),
                         [](const auto &example) { return example.param.name; });
