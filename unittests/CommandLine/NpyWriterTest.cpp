// NpyWriter: the format byte by byte, and nothing left of a file that was given up.

#include "llmir/CommandLine/NpyWriter.h"

#include "../Engine/FakeArtifact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace llmir;
using ::testing::StartsWith;

TEST(NpyWriterTest, WritesTheFormat) {
  llmir::testing::TemporaryFile file("");
  StatusOr<NpyWriter> writer = NpyWriter::create(file.path(), 3);
  ASSERT_TRUE(writer.isOk());
  std::vector<float> rows = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(writer->append(rows).isOk());
  ASSERT_TRUE(writer->append(std::span(rows).first(3)).isOk());
  EXPECT_EQ(writer->numRows(), 3);
  ASSERT_TRUE(writer->commit().isOk());

  std::string content = llmir::testing::readFile(file.path());
  ASSERT_EQ(content.size(), 128 + 9 * sizeof(float));
  EXPECT_EQ(content.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_THAT(content.substr(10),
              StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }"));
  EXPECT_EQ(content[127], '\n');
  float last;
  std::memcpy(&last, content.data() + content.size() - sizeof last, sizeof last);
  EXPECT_EQ(last, 3.0f);
}

TEST(NpyWriterTest, AnUnfinishedFileDoesNotAppear) {
  llmir::testing::TemporaryFile file("old");
  {
    StatusOr<NpyWriter> writer = NpyWriter::create(file.path(), 1);
    ASSERT_TRUE(writer.isOk());
    std::vector<float> row = {1};
    ASSERT_TRUE(writer->append(row).isOk());
  }
  EXPECT_EQ(llmir::testing::readFile(file.path()), "old");
  EXPECT_FALSE(NpyWriter::create("/no/such/folder/rows.npy", 1).isOk());
}
