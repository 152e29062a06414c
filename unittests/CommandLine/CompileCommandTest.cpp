// CompileCommand: where the compiler is looked for, and what is said when it is not there.

#include "llmir/CommandLine/CompileCommand.h"

#include <cstdlib>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

using namespace llmir;
using ::testing::HasSubstr;

namespace {
class CompileCommandTest : public ::testing::Test {
protected:
  CompileCommandTest() {
    char name[] = "/tmp/llmir-test-XXXXXX";
    folder_ = mkdtemp(name);
    for (const char *sub : {"/own", "/path"})
      mkdir((folder_ + sub).c_str(), 0777);
  }
  ~CompileCommandTest() override {
    for (const char *name : {"/own/tool", "/path/tool", "/own", "/path", ""})
      remove((folder_ + name).c_str());
  }
  void makeFile(const char *name, int mode) const {
    close(open((folder_ + name).c_str(), O_CREAT | O_WRONLY, mode));
  }
  ProgramSearch search() const { return {folder_ + "/own", "/no/such:" + folder_ + "/path"}; }
  std::string folder_;
};
} // namespace

TEST_F(CompileCommandTest, LooksBesideItselfThenOnThePath) {
  makeFile("/path/tool", 0755);
  EXPECT_EQ(*findProgram("tool", search()), folder_ + "/path/tool");
  makeFile("/own/tool", 0755);
  EXPECT_EQ(*findProgram("tool", search()), folder_ + "/own/tool");
}

TEST_F(CompileCommandTest, SaysWhereItLooked) {
  makeFile("/own/tool", 0644);
  Status status = findProgram("tool", search()).status();
  EXPECT_EQ(status.code(), StatusCode::NotFound);
  EXPECT_THAT(status.message(), HasSubstr(folder_ + "/own/tool"));
  EXPECT_THAT(status.message(), HasSubstr("/no/such/tool"));
  EXPECT_THAT(status.message(), HasSubstr(folder_ + "/path/tool"));
}
