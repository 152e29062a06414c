// Finding a vendor's programs: the order of places, and what is said when none has them.

#include "llmir/Target/GPU/ExternalTool.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace mlir::llm;
namespace fs = std::filesystem;

namespace {
class ExternalToolTest : public ::testing::Test {
protected:
  void SetUp() override {
    root = fs::path(::testing::TempDir()) / "external-tool-test";
    fs::remove_all(root);
    for (const char *folder : {"path", "toolkit/bin", "fixed"})
      fs::create_directories(root / folder);
    oldPath = std::getenv("PATH") ? std::getenv("PATH") : "";
    ::setenv("PATH", (root / "path").c_str(), 1);
    ::setenv("LLMIR_TEST_TOOLKIT", (root / "toolkit").c_str(), 1);
    ::unsetenv("LLMIR_TEST_UNSET");
    search.namesOnPath = {"assembler"};
    search.variables = {{"LLMIR_TEST_UNSET", "bin/assembler"},
                        {"LLMIR_TEST_TOOLKIT", "bin/assembler"}};
    search.files = {(root / "fixed/assembler").string()};
    search.package = "the toolkit";
  }
  void TearDown() override {
    ::setenv("PATH", oldPath.c_str(), 1);
    ::unsetenv("LLMIR_TEST_TOOLKIT");
    fs::remove_all(root);
  }

  std::string makeProgram(const char *place) {
    fs::path path = root / place;
    std::ofstream(path) << "#!/bin/sh\n";
    fs::permissions(path, fs::perms::owner_all);
    return path.string();
  }

  fs::path root;
  std::string oldPath;
  ToolSearch search;
};
} // namespace

TEST_F(ExternalToolTest, NamesAllPlacesWhenNoneHasIt) {
  llmir::StatusOr<std::string> found = findTool("assembler", search);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.status().message(),
            "cannot find assembler of the toolkit: looked for assembler on the path, "
            "$LLMIR_TEST_UNSET/bin/assembler (not set), " +
                (root / "toolkit/bin/assembler").string() + ", " +
                (root / "fixed/assembler").string());
}

TEST_F(ExternalToolTest, TakesThePathThenVariablesThenFixedPlaces) {
  for (const char *place : {"fixed/assembler", "toolkit/bin/assembler", "path/assembler"}) {
    std::string expected = makeProgram(place);
    llmir::StatusOr<std::string> found = findTool("assembler", search);
    ASSERT_TRUE(found) << found.status().message();
    EXPECT_EQ(*found, expected);
  }
}

TEST_F(ExternalToolTest, FindsNothingOnAnEmptyPath) {
  ::setenv("PATH", "", 1);
  search.variables.clear();
  search.files.clear();
  llmir::StatusOr<std::string> found = findTool("assembler", search);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.status().message(),
            "cannot find assembler of the toolkit: looked for assembler on the path");
}
