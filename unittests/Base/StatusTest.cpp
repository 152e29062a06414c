// Status and StatusOr: codes, context, and early return.

#include "llmir/Base/Status.h"

#include <gtest/gtest.h>
#include <memory>

namespace llmir {
namespace {

TEST(StatusTest, DefaultIsOk) {
  Status status;
  EXPECT_TRUE(status.isOk());
  EXPECT_EQ(status.code(), StatusCode::Ok);
  EXPECT_TRUE(status.withContext("file").message().empty());
}

TEST(StatusTest, ContextGoesInFront) {
  Status status =
      dataLoss("expected 4 bytes, but got 2").withContext("header").withContext("a.gguf");
  EXPECT_EQ(status.code(), StatusCode::DataLoss);
  EXPECT_EQ(status.message(), "a.gguf: header: expected 4 bytes, but got 2");
}

TEST(StatusTest, ReturnIfErrorStopsAtTheFirst) {
  auto run = [](Status first) -> Status {
    LLMIR_RETURN_IF_ERROR(first);
    return internalError("reached");
  };
  EXPECT_EQ(run(notFound("x")).message(), "x");
  EXPECT_EQ(run(Status::ok()).message(), "reached");
}

TEST(StatusTest, StatusOrHoldsMoveOnlyValues) {
  StatusOr<std::unique_ptr<int>> value = std::make_unique<int>(7);
  ASSERT_TRUE(value.isOk());
  std::unique_ptr<int> taken = *std::move(value);
  EXPECT_EQ(*taken, 7);
  StatusOr<int> error = resourceExhausted("need 12 blocks, 3 free");
  EXPECT_FALSE(error.isOk());
  EXPECT_EQ(error.status().code(), StatusCode::ResourceExhausted);
}

} // namespace
} // namespace llmir
