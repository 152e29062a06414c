// BandwidthProbe: gives a rate and refuses nonsense. What the rate is, no test says.

#include "llmir/Device/BandwidthProbe.h"

#include <gtest/gtest.h>

using namespace llmir;

TEST(BandwidthProbeTest, MeasuresAPositiveRate) {
  auto team = *WorkerTeam::create({.workers = 2});
  StatusOr<double> rate = probeReadBandwidth(*team, {.bytes = (size_t(4) << 20) + 1, .passes = 2});
  ASSERT_TRUE(rate.isOk()) << rate.status().message();
  EXPECT_GT(*rate, 0.0);
}

TEST(BandwidthProbeTest, RefusesNoBytesAndNoPasses) {
  auto team = *WorkerTeam::create({.workers = 1});
  EXPECT_EQ(probeReadBandwidth(*team, {.bytes = 0}).status().code(), StatusCode::InvalidArgument);
  EXPECT_EQ(probeReadBandwidth(*team, {.bytes = 1, .passes = 0}).status().code(),
            StatusCode::InvalidArgument);
}
