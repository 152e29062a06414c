// TokenTree: masks, positions and paths of drafts.

#include "llmir/Cache/TokenTree.h"

#include <gtest/gtest.h>

using namespace llmir;

namespace {

///      0 ─ 2 ─ 4
///  ──┤   └ 3
///      1
TokenTree makeTree() {
  TokenTree tree;
  for (int32_t parent : {-1, -1, 0, 0, 2})
    EXPECT_TRUE(tree.add(parent).isOk());
  return tree;
}

} // namespace

TEST(TokenTreeTest, SeesItselfAndWhatItFollows) {
  TokenTree tree = makeTree();
  std::vector<uint64_t> masks;
  tree.appendMasks(masks);
  EXPECT_EQ(masks, (std::vector<uint64_t>{0b00001, 0b00010, 0b00101, 0b01001, 0b10101}));
  std::vector<int32_t> positions;
  tree.appendPositions(100, positions);
  EXPECT_EQ(positions, (std::vector<int32_t>{100, 100, 101, 101, 102}));
  EXPECT_FALSE(tree.isChain());
}

TEST(TokenTreeTest, ChainsSeeAllBeforeThem) {
  TokenTree tree;
  tree.addChain(64);
  EXPECT_TRUE(tree.isChain());
  EXPECT_EQ(tree.mask(0), 1u);
  EXPECT_EQ(tree.mask(63), ~uint64_t(0));
  ASSERT_TRUE(tree.add(5).isOk());
  EXPECT_FALSE(tree.isChain());
  tree.clear();
  EXPECT_EQ(tree.size(), 0);
  EXPECT_TRUE(tree.isChain());
}

TEST(TokenTreeTest, ChecksPaths) {
  TokenTree tree = makeTree();
  EXPECT_EQ(tree.pathTo(4), (std::vector<int32_t>{0, 2, 4}));
  EXPECT_TRUE(tree.pathTo(TokenTree::context).empty());
  EXPECT_TRUE(tree.checkPath(tree.pathTo(3)).isOk());
  EXPECT_TRUE(tree.checkPath({}).isOk());
  EXPECT_EQ(tree.checkPath(std::vector<int32_t>{0, 4}).message(),
            "token 4 follows token 2, but is in a path after token 0");
  EXPECT_EQ(tree.checkPath(std::vector<int32_t>{2}).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(tree.checkPath(std::vector<int32_t>{5}).message(),
            "expected tokens of 0 to 4 in a path, but got 5");
}

TEST(TokenTreeTest, RefusesParentsThatAreNotThere) {
  TokenTree tree = makeTree();
  EXPECT_EQ(tree.add(5).message(),
            "expected token 5 of a tree to follow the context (-1) or an earlier token, but got 5");
  EXPECT_FALSE(tree.add(-2).isOk());
  EXPECT_EQ(tree.size(), 5);
}
